"""Tries to import torch, in a process of its own: the metadata of a package does not say that its libraries load."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata

import msgspec

from saetui.errors import TorchError
from saetui.formats.durable import write_durably
from saetui.home import Home
from saetui.torch_packages import installed, why_unusable

PATIENCE_SECONDS = 300.0
"""The first import on a slow SD card takes a minute."""

_PROGRAM = """
import json, os, sys
answer = os.dup(1)
os.dup2(2, 1)
numpy_works = False
try:
    import torch
    torch.ones(2, 2) @ torch.ones(2, 2)
    try:
        numpy_works = float(torch.ones(1).numpy()[0]) == 1.0
    except Exception:
        pass
    if sys.argv[1] == "all":
        import safetensors.torch, transformers
        transformers.PreTrainedModel
    error = None
except Exception as failure:
    error = f"{type(failure).__name__}: {failure}"
os.write(answer, json.dumps({"error": error, "numpy_works": numpy_works}).encode())
"""


class Imported(msgspec.Struct, frozen=True):
    """What came of the import. `error`: why it failed; `numpy_works`: torch and numpy exchange arrays."""

    error: str | None
    numpy_works: bool


def import_torch(*, alone: bool = False) -> Imported:
    """Import torch, and unless `alone` what is loaded beside it. Takes seconds."""
    command = [sys.executable, "-c", _PROGRAM, "torch" if alone else "all"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="backslashreplace",
            timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Imported(f"it took more than {PATIENCE_SECONDS:.0f} s", False)
    try:
        return msgspec.json.decode(done.stdout, type=Imported)
    except msgspec.DecodeError:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        return Imported(f"it ended the process with {how}", False)


def require_torch(home: Home) -> None:
    """Check that torch and what is loaded beside it fit each other and can be imported.

    An import that worked is remembered in the home until another version is installed; one that failed is tried again.

    Raises:
        TorchError: what is missing, does not fit or does not load, and what to type.
    """
    found = installed()
    unusable = why_unusable(found)
    if unusable is not None:
        raise unusable
    key = environment_key()
    if _remembered(home) == key:
        return
    imported = import_torch()
    if imported.error is not None:
        raise import_failed(imported.error)
    if not imported.numpy_works:
        raise TorchError(
            f"torch {found.torch} was built for another numpy than {found.numpy}, and cannot exchange arrays with it.",
            f'Install one that fits: {sys.executable} -m pip install "numpy<2"',
        )
    with contextlib.suppress(OSError):  # only the next check takes longer
        write_durably(home.torch, key.encode())


def import_failed(reason: str) -> TorchError:
    """The error for a torch that is installed and does not load."""
    return TorchError(
        f"torch is installed and cannot be imported: {' '.join(reason.split())[:300].rstrip('.')}.",
        f"See the whole traceback: {sys.executable} -c 'import torch, transformers'; install the torch that fits this system.",
    )


def _remembered(home: Home) -> str | None:
    try:
        return home.torch.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def environment_key() -> str:
    """A hash of this Python and of the packages as they are installed: another version, or the same one anew, changes it."""
    parts: list[object] = [sys.executable, os.environ.get("LD_LIBRARY_PATH")]
    for name in ("torch", "transformers", "safetensors", "numpy", "tokenizers", "huggingface_hub"):
        try:
            files = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            parts.append(None)
            continue
        record = files.locate_file(f"{name}/__init__.py")
        try:
            changed = os.stat(str(record)).st_mtime_ns
        except OSError:
            changed = None
        parts.append((name, files.version, str(record), changed))
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
