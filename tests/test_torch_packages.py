"""What fits which torch, and what is said where it does not fit. The last tests ask the packages that are really here."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import pytest

from saetui.errors import TorchError
from saetui.home import Home
from saetui.torch_import import import_torch, require_torch
from saetui.torch_packages import Packages, constraints, installed, requirements, why_unusable
from tests.other_torch import other_torch

JETSON = "2.5.0a0+872d972e41.nv24.8"
HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="needs torch")


def packages(torch: str | None, **others: str | None) -> Packages:
    there: dict[str, str | None] = {"transformers": "4.57.6", "safetensors": "0.8.0", "numpy": "1.26.4"}
    return Packages(torch=torch, **{"oldest_torch": "2.2", **there, **others})


@pytest.mark.parametrize(
    ("torch", "transformers"),
    [("2.4.1", "<5"), (JETSON, "<5"), ("2.5.1", "<5"), ("2.6.0", "<5.25"), ("2.12.0", "<5.25"), ("2.13.0+cpu", "<6")],
)
def test_transformers_is_bounded_by_the_torch_that_is_there(torch: str, transformers: str) -> None:
    assert f"transformers>=4.57.1,{transformers}" in requirements(packages(torch))


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there is no numpy 1 for this Python")
@pytest.mark.parametrize(
    ("torch", "numpy", "works", "limit"),
    [
        (JETSON, None, None, 2),
        (JETSON, "1.26.4", True, 2),
        (JETSON, "2.2.6", False, 2),
        ("2.8.0a0+34c6371d24.nv25.8", None, None, 2),
        ("2.5.1", None, None, 2),
        ("2.5.1", "2.2.6", True, 3),
        ("2.13.0", None, None, 3),
        ("2.13.0", "1.26.4", True, 2),
    ],
)
def test_numpy_is_the_one_that_torch_was_built_for(
    torch: str, numpy: str | None, works: bool | None, limit: int
) -> None:
    assert requirements(packages(torch, numpy=numpy), numpy_works=works)[-1] == f"numpy>=1.26,<{limit}"


def test_the_torch_that_is_there_is_fixed_to_its_very_build() -> None:
    assert constraints(packages(JETSON))[0] == f"torch=={JETSON}"
    with pytest.raises(TorchError, match="torch is not installed"):
        constraints(packages(None))


@pytest.mark.parametrize(
    ("found", "message", "typed"),
    [
        (packages(None), "torch is not installed", 'pip install "saetui[torch]"'),
        (packages("2.1.0"), "torch 2.1.0 is installed, and saetui needs 2.4 or later", 'pip install "saetui[torch]"'),
        (
            packages("2.5.1", transformers=None),
            "transformers is not installed beside torch 2.5.1",
            '"transformers>=4.57.1,<5"',
        ),
        (packages("2.5.1", numpy=None), "numpy is not installed beside torch 2.5.1", '"numpy>=1.26,<'),
        (
            packages(JETSON, transformers="5.20.0", oldest_torch="2.6"),
            f"transformers 5.20.0 needs torch 2.6 or later, and torch {JETSON} is installed",
            '"transformers>=4.57.1,<5"',
        ),
    ],
)
def test_what_cannot_train_is_told_in_a_line_with_what_to_type(found: Packages, message: str, typed: str) -> None:
    unusable = why_unusable(found, jetson=False)
    assert unusable is not None
    assert message in unusable.message and typed in (unusable.suggestion or "")
    assert "\n" not in str(unusable)


def test_on_a_jetson_torch_comes_from_nvidia() -> None:
    unusable = why_unusable(packages(None), jetson=True)
    assert unusable is not None
    assert "NVIDIA's torch" in str(unusable.suggestion) and '"saetui[jetson]"' in str(unusable.suggestion)


def test_what_fits_is_not_refused() -> None:
    assert why_unusable(packages("2.5.1")) is None
    assert why_unusable(packages("2.6.0", transformers="5.20.0", oldest_torch="2.6")) is None


@needs_torch
def test_the_packages_that_are_here_fit_each_other() -> None:
    found = installed()
    assert why_unusable(found) is None
    assert found.torch == metadata.version("torch") and found.oldest_torch is not None


@needs_torch
def test_torch_and_numpy_exchange_arrays_here() -> None:
    assert import_torch().error is None
    assert import_torch(alone=True).numpy_works


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "raise ImportError('libcudnn.so.9: cannot open shared object file')",
            "ImportError: libcudnn.so.9: cannot open",
        ),
        ("import os; os.kill(os.getpid(), 11)", "it ended the process with signal 11"),
        ("import os; os._exit(3)", "it ended the process with exit status 3"),
    ],
)
def test_a_torch_that_does_not_load_is_told(
    program: str, words: str, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(other_torch(tmp_path / "packages", program))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(path)
    with pytest.raises(TorchError, match="torch is installed and cannot be imported") as refused:
        require_torch(home)
    assert words in refused.value.message
    assert not home.torch.exists()


@needs_torch
def test_an_import_that_worked_is_not_tried_again_until_a_package_changes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.make()
    require_torch(home)
    remembered = home.torch.read_text()
    monkeypatch.setattr("saetui.torch_import.import_torch", lambda: pytest.fail("tried again"))
    require_torch(home)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception):
        require_torch(home)
    assert home.torch.read_text() == remembered
