"""Which torch is installed and which packages beside it, whether they fit each other, and what to type where they do not.

Everything here reads the metadata of installed packages, so that clients and the supervisor need not load torch.
saetui/torch_import.py tries the import itself, in a process of its own.
"""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata

import msgspec

from saetui.errors import TorchError
from saetui.tegra import is_jetson

OLDEST_TORCH = (2, 4)
"""The oldest torch that transformers 4.57.1 and our own code can be expected to work with. Tested: 2.5.1 and newer."""
TRANSFORMERS = "transformers>=4.57.1"
NUMPY = "numpy>=1.26"
SAFETENSORS = "safetensors>=0.4.5"

_NEWEST_TRANSFORMERS = (((2, 13), "<6"), ((2, 6), "<5.25"), ((0, 0), "<5"))
"""From which torch on → the bound of transformers. 5.24 is the newest one whose needs are known: it refuses torch before 2.6."""

_BUILT_FOR_NUMPY_2 = (2, 6)
"""Older builds of NVIDIA's for a Jetson were made for numpy 1. A torch that was made for numpy 2 works with both."""
_NO_NUMPY_1 = (3, 13)
"""The first Python that has no numpy 1."""


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of the packages that a training loads; None where one is not installed.

    Attributes:
        oldest_torch: the oldest torch that the installed transformers accepts, as its metadata says.
    """

    torch: str | None = None
    transformers: str | None = None
    safetensors: str | None = None
    numpy: str | None = None
    oldest_torch: str | None = None


def installed() -> Packages:
    """What is installed for this Python, without importing anything of it."""
    versions = {name: _version(name) for name in ("torch", "transformers", "safetensors", "numpy")}
    return Packages(**versions, oldest_torch=_oldest_torch() if versions["transformers"] else None)


def why_unusable(found: Packages, *, jetson: bool | None = None) -> TorchError | None:
    """Why these packages cannot train, and what to type. None where nothing in their metadata speaks against it.

    Args:
        found: from `installed`.
        jetson: whether this machine is a Jetson, whose torch comes from NVIDIA; by default its files tell.
    """
    on_jetson = is_jetson() if jetson is None else jetson
    if found.torch is None:
        return TorchError("torch is not installed, and training needs it.", _install_torch(on_jetson))
    if _release(found.torch) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        message = f"torch {found.torch} is installed, and saetui needs {oldest} or later."
        return TorchError(message, _install_torch(on_jetson))
    for name in ("transformers", "safetensors", "numpy"):
        if getattr(found, name) is None:
            return TorchError(f"{name} is not installed beside torch {found.torch}.", _install_beside(found))
    if found.oldest_torch is not None and _release(found.torch) < _release(found.oldest_torch):
        message = f"transformers {found.transformers} needs torch {found.oldest_torch} or later, and torch {found.torch} is installed."
        return TorchError(message, _install_beside(found))
    return None


def requirements(found: Packages, *, numpy_works: bool | None = None) -> list[str]:
    """What pip may install beside the torch that is there. transformers itself bounds huggingface_hub and tokenizers.

    Args:
        found: from `installed`, with a torch.
        numpy_works: whether torch and the installed numpy exchange arrays; None where that was not tried.
    """
    assert found.torch is not None, "the caller has checked that torch is there"
    bound = next(bound for since, bound in _NEWEST_TRANSFORMERS if _release(found.torch) >= since)
    return [f"{TRANSFORMERS},{bound}", SAFETENSORS, f"{NUMPY},<{_numpy_limit(found, numpy_works)}"]


def constraints(found: Packages, *, numpy_works: bool | None = None) -> list[str]:
    """The lines of a constraints file for pip: this torch and no other, and what fits it.

    Raises:
        TorchError: there is no torch to fit to.
    """
    if found.torch is None:
        raise TorchError("torch is not installed, so there is nothing to fit.", _install_torch(is_jetson()))
    return [f"torch=={found.torch}", *requirements(found, numpy_works=numpy_works)]


def _install_torch(on_jetson: bool) -> str:
    if on_jetson:
        return 'Install NVIDIA\'s torch for this JetPack, then: pip install "saetui[jetson]"'
    return 'Install it: pip install "saetui[torch]"'


def _install_beside(found: Packages) -> str:
    names = " ".join(f'"{name}"' for name in requirements(found))
    return f"Install what fits it: {shlex.quote(sys.executable)} -m pip install {names}"


def _numpy_limit(found: Packages, works: bool | None) -> int:
    """The first major version of numpy that may not be installed."""
    assert found.torch is not None
    if sys.version_info >= _NO_NUMPY_1:
        return 3
    if found.numpy is not None and works is not None:
        # What works stays: an array of another major version may not.
        return _release(found.numpy)[0] + 1 if works else 2
    return 2 if _release(found.torch) < _BUILT_FOR_NUMPY_2 or ".nv" in found.torch else 3


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _oldest_torch() -> str | None:
    """The lowest torch that the extra `torch` of the installed transformers names. transformers checks the same when it loads."""
    for line in metadata.requires("transformers") or []:
        found = re.match(r"torch\s*\(?[^;]*?>=\s*([\d.]+)[^;]*;\s*extra == ['\"]torch['\"]", line)
        if found is not None:
            return found[1]
    return None


def _release(version: str) -> tuple[int, int]:
    """The first two numbers of a version, such as (2, 5) of `2.5.0a0+872d972e41.nv24.8`."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else (0, 0)
