"""Where torch cannot be used, every way to start says so in one line, before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saetui.home import Home
from tests.cli.conftest import Saetui
from tests.other_torch import other_torch

WAYS = {
    "selftest": ["selftest"],
    "bench": ["bench"],
    "eval": ["eval", "sae", "--model", "bundled:tiny"],
    "cache": ["cache", "build", "spec.json"],
    "train": ["train", "spec.json"],
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "sae").mkdir()
    spec = {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "architecture": "topk", "layers": [1]}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
def test_a_torch_that_transformers_refuses_is_told_with_what_to_type(
    way: str, saetui: Saetui, home: Home, directory: Path
) -> None:
    packages = other_torch(directory / "packages", torch="2.5.0a0+872d972e41.nv24.8")
    outcome = saetui(*WAYS[way], directory=directory, environment={"PYTHONPATH": str(packages)})
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert "transformers 5.24.0 needs torch 2.6 or later, and torch 2.5.0a0+872d972e41.nv24.8 is installed." in line
    assert 'pip install "transformers>=4.57.1,<5"' in line
    assert not list(home.runs.glob("*"))


@pytest.mark.parametrize("way", ["bench", "train"])
def test_a_torch_that_does_not_load_is_told_with_the_reason(
    way: str, saetui: Saetui, home: Home, directory: Path
) -> None:
    packages = other_torch(directory / "packages")
    outcome = saetui(*WAYS[way], directory=directory, environment={"PYTHONPATH": str(packages)})
    assert outcome.code == 1
    (line,) = outcome.error_lines
    assert "torch is installed and cannot be imported: ImportError: libcudnn.so.9: cannot open" in line
    assert "Traceback" not in outcome.err
    assert not list(home.runs.glob("*"))


def test_the_doctor_names_the_same_fault_and_exits_with_1(saetui: Saetui, home: Home, directory: Path) -> None:
    packages = other_torch(directory / "packages", torch="2.5.1")
    outcome = saetui("doctor", "--json", environment={"PYTHONPATH": str(packages)})
    assert outcome.code == 1
    (found,) = [finding for finding in outcome.document if finding["subject"] == "torch"]
    assert found["verdict"] == "problem" and "transformers 5.24.0 needs torch 2.6" in found["message"]
    assert '"transformers>=4.57.1,<5"' in found["suggestion"]
