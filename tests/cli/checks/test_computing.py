"""torch and its devices, as `saetui doctor` tells them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saetui.cli.checks.computing import check_torch, torch_findings
from saetui.cli.checks.finding import Finding, Verdict
from tests.cli.conftest import needs_trainer
from tests.devices.trees import agx_orin, orin_nano, thor


def device(name: str = "CPU", triton: dict[str, Any] | None = None, **why: str) -> dict[str, Any]:
    """A device as the probe tells it. `why`: what is wrong with its products."""
    trials = [
        {"name": kind, "seconds": None if kind in why else 0.00123, "why": why.get(kind)}
        for kind in ("float32", "bfloat16", "sparse")
    ]
    return {"name": name, "trials": trials, "triton": triton}


def probed(*devices: dict[str, Any], built: str | None = "13.0", **changes: Any) -> dict[str, Any]:
    return {
        "torch": "2.13.0", "transformers": "5", "cuda_built": built, "cuda_error": None, "numpy": None,
        "devices": [device(), *devices], **changes,
    }  # fmt: skip


def findings(found: dict[str, Any], root: Path, *, has_card: bool = False) -> dict[str, Finding]:
    """The last finding on each subject."""
    return {finding.subject: finding for finding in torch_findings(found, has_card=has_card, root=root)}


def test_this_torch_computes_and_says_how_fast() -> None:
    needs_trainer()
    found = {finding.subject: finding for finding in check_torch()}
    assert {finding.verdict for finding in found.values()} == {Verdict.GOOD}
    assert found["device"].message.startswith("CPU: right in float32 ")
    assert all(word in found["device"].message for word in ("bf16", "sparse", " ms"))
    assert "both ways" in found["numpy"].message
    assert "not needed here" in found["triton"].message


def test_a_torch_that_hangs_is_said_with_what_it_was_doing() -> None:
    begun = time.monotonic()
    (found,) = check_torch("tests.cli.hanging_task", seconds=3.0)
    assert time.monotonic() - begun < 20
    assert found.verdict is Verdict.PROBLEM
    assert found.message == "It took more than 3 s, and was ended while computing on Broken GPU."
    assert "driver hangs" in (found.suggestion or "")


@pytest.mark.parametrize("lay", [orin_nano, agx_orin, thor])
def test_a_jetson_whose_torch_has_no_cuda_is_broken(lay: Callable[[Path], None], tmp_path: Path) -> None:
    lay(tmp_path)
    found = findings(probed(built=None), tmp_path)["device"]
    assert found.verdict is Verdict.PROBLEM
    assert "Jetson" in found.message and "torch was built without CUDA" in found.message
    assert found.suggestion == "Install NVIDIA's torch for this JetPack in its place."


def test_a_jetson_whose_torch_finds_no_gpu_says_why(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    found = findings(probed(cuda_error="CUDA driver version is insufficient"), tmp_path)["device"]
    assert found.verdict is Verdict.PROBLEM and "CUDA driver version is insufficient." in found.message


def test_a_jetson_whose_gpu_computes_is_good(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    compiled = {"name": "triton", "seconds": 1.5, "why": None}
    found = findings(probed(device("Orin", compiled)), tmp_path)
    assert {finding.verdict for finding in found.values()} == {Verdict.GOOD}
    assert found["triton"].message == "Orin: compiled, and right, in 1.5 s"


def test_a_card_that_torch_cannot_use_is_told_with_the_reason(tmp_path: Path) -> None:
    found = findings(probed(built=None), tmp_path, has_card=True)["device"]
    assert found.verdict is Verdict.WARNING
    assert "without CUDA" in found.message


def test_a_machine_without_a_gpu_needs_none(tmp_path: Path) -> None:
    found = findings(probed(), tmp_path)
    assert {finding.verdict for finding in found.values()} == {Verdict.GOOD}


@pytest.mark.parametrize("kind", ["float32", "sparse"])
def test_a_device_whose_products_fail_is_a_problem(kind: str, tmp_path: Path) -> None:
    found = findings(probed(device("GPU", None, **{kind: "no kernel image"})), tmp_path)["device"]
    assert found.verdict is Verdict.PROBLEM
    assert found.message == f"GPU does not compute as it must: {kind} product: no kernel image."


def test_a_device_without_bf16_can_still_train(tmp_path: Path) -> None:
    found = findings(probed(device("GPU", None, bfloat16="not implemented")), tmp_path)["device"]
    assert found.verdict is Verdict.WARNING
    assert found.suggestion == "Train in float32: -o dtype=float32"


def test_a_numpy_that_torch_cannot_read_is_a_problem(tmp_path: Path) -> None:
    found = findings(probed(numpy="Numpy is not available"), tmp_path)["numpy"]
    assert found.verdict is Verdict.PROBLEM and "Numpy is not available." in found.message
    assert "--constraints" in (found.suggestion or "")


def test_a_triton_that_does_not_compile_is_a_warning(tmp_path: Path) -> None:
    failed = {"name": "triton", "seconds": None, "why": "Python.h: No such file or directory"}
    found = findings(probed(device("GPU", failed)), tmp_path)["triton"]
    assert found.verdict is Verdict.WARNING and "Python.h" in found.message
    assert "python3-dev" in (found.suggestion or "")
