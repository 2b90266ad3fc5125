"""The probe that `saetui doctor` runs: it computes on each device, and reports which results are wrong."""

from __future__ import annotations

import pytest
import torch

from saetui.training.tasks.probe import TOLERANCES, Wrong, probe, require_near, try_device, why_failed


def test_the_cpu_is_right_in_every_product() -> None:
    found = probe({})
    assert found["torch"] == torch.__version__ and found["numpy"] is None
    (cpu, *_) = found["devices"]
    assert [trial["name"] for trial in cpu["trials"]] == list(TOLERANCES)
    assert all(trial["why"] is None and 0 < trial["seconds"] < 60 for trial in cpu["trials"])
    assert cpu["triton"] is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="a device that torch really lacks")
def test_a_device_that_fails_says_why_in_each_product() -> None:
    found = try_device("cuda:0", "GPU")
    assert all(trial["seconds"] is None and trial["why"] for trial in [*found["trials"], found["triton"]])
    assert "\n" not in found["trials"][0]["why"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError(""), "RuntimeError"),
        (RuntimeError("\n \n"), "RuntimeError"),
        (RuntimeError("CUDA error: no kernel image\nCompile with TORCH_USE_CUDA_DSA"), "CUDA error: no kernel image"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_every_error_has_one_line(error: Exception, said: str) -> None:
    def fail() -> None:
        raise error

    assert why_failed(fail) == said
    assert why_failed(lambda: None) is None


@pytest.mark.parametrize("wrong", [2.0, float("nan")])
def test_one_wrong_entry_is_found(wrong: float) -> None:
    right = torch.ones(40, 40, dtype=torch.float64)
    found = right.float()
    require_near(found, right, 1e-2)
    found[3, 5] = wrong
    with pytest.raises(Wrong, match="the result is wrong"):
        require_near(found, right, 1e-2)
