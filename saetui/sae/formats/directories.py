"""SAE directories on disk: written whole or not at all, and read with suspicion."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from saetui.errors import FormatError
from saetui.formats import directories

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
LARGEST_CONFIG = 1 << 20
"""Bytes that a JSON file of an SAE may have: 1 MiB."""
AGAIN = "Export or download the SAE again."
ORIGIN_FILE = "origin.json"
"""In imported SAEs: the folders that it lay in, by whose names some tools say which layer and site an SAE is of."""
_LFS = b"version https://git-lfs.github.com/spec/"
_ORIGIN_DEPTH = 8


def replace_directory(directory: Path, files: Mapping[str, bytes]) -> None:
    """Writes a directory of files as one step; an older one with the same file names is replaced, and is there until then.

    Args:
        directory: of the result (mode 0700, its files 0600); its parent must exist.
        files: name → content.

    Raises:
        FormatError: something else is in the way.
        OSError: the disk would not take it; nothing is left behind.
    """
    foreign = [entry.name for entry in directory.iterdir() if entry.name not in files] if directory.is_dir() else []
    if foreign or (directory.exists() and not directory.is_dir()):
        raise FormatError(
            f"{directory} is in the way: it holds {', '.join(sorted(foreign)[:3]) or 'a file'}, not an export.",
            "Choose another directory.",
        )
    directories.replace_directory(directory, files, point="export")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of at most 1 MiB.

    Raises:
        FormatError: it cannot be read, is too large, is not JSON, or is not an object.
    """
    content = read_file(path, LARGEST_CONFIG)
    try:
        found = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as wrong:
        raise FormatError(f"{path} is not JSON: {wrong}.", AGAIN) from wrong
    if not isinstance(found, dict):
        raise FormatError(f"{path} is not a JSON object.", AGAIN)
    return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file: floating-point ones as float32, the others as they are.

    Raises:
        FormatError: the file cannot be read or is damaged, or a value is not finite.
    """
    require_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, ValueError, KeyError, OSError) as wrong:
        raise FormatError(f"{path} is damaged: {wrong}.", AGAIN) from wrong
    return _as_float32(tensors, path)


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """The arrays of a NumPy archive (.npz) as tensors, floating-point ones as float32. No pickle in it is read.

    Args:
        path: of the archive.
        names: all that it may hold.

    Raises:
        FormatError: the file cannot be read or is damaged, holds something else, or a value is not finite.
    """
    require_regular(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = list(archive.files)
            unknown = sorted(set(found) - set(names))
            if unknown:
                raise FormatError(f"{path} holds {', '.join(unknown[:3])}; {', '.join(names)} are expected.", AGAIN)
            arrays = {name: archive[name] for name in found}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OSError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
    ) as wrong:
        raise FormatError(f"{path} is damaged: {wrong}.", AGAIN) from wrong
    return _as_float32(tensors, path)


def folders_of(directory: Path) -> tuple[str, ...]:
    """The names of the last folders of an SAE's path, outermost first: where it lay before it was imported, if it was.

    Raises:
        FormatError: the note of an import is damaged.
    """
    note = directory / ORIGIN_FILE
    if not note.exists():
        return directory.absolute().parts[-_ORIGIN_DEPTH:]
    folders = read_json(note).get("folders")
    if not isinstance(folders, list) or not all(isinstance(name, str) for name in folders):
        raise FormatError(f"{note} does not say where the SAE lay.", "Import the SAE again.")
    return tuple(folders)


def origin_note(directory: Path) -> bytes:
    """The content of `ORIGIN_FILE` for an SAE that is taken from a directory."""
    return json.dumps({"folders": folders_of(directory)}).encode()


def read_file(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most `limit` bytes.

    Raises:
        FormatError: it cannot be read, is larger, or is a device or a pipe.
    """
    require_regular(path, limit)
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong


def require_regular(path: Path, limit: int | None = None) -> None:
    """Sees that a path leads to a plain file: a pipe would wait for ever, a device never end.

    A link is followed (the Hub's cache is made of links): what it leads to is only read, and must hold up as an SAE.

    Raises:
        FormatError: there is none, or it has more than `limit` bytes.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as wrong:
        raise _unreadable(path, wrong) from wrong
    if not stat.S_ISREG(found.st_mode):
        raise FormatError(f"{path} is not a plain file.", AGAIN)
    if limit is not None and found.st_size > limit:
        raise FormatError(f"{path} is larger than {limit} bytes.", "It is not an SAE's configuration.")
    if _is_lfs_pointer(path, found.st_size):
        raise FormatError(
            f"{path} is a Git LFS pointer, not the file itself.",
            "Fetch the file with `git lfs pull` in its repository, or download it again.",
        )


def _as_float32(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        tensors[name] = tensor.to(torch.float32)
        if not bool(torch.isfinite(tensors[name]).all()):
            raise FormatError(f"{name} in {path} holds values that are not finite.", "Take another checkpoint.")
    return tensors


def _is_lfs_pointer(path: Path, size: int) -> bool:
    """Whether a file is what git leaves in a large file's place where Git LFS is not installed; pointers are under 1 kB."""
    if size >= 1024:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_LFS)) == _LFS
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON's")


def _unreadable(path: Path, wrong: OSError | ValueError) -> FormatError:
    reason = wrong.strerror if isinstance(wrong, OSError) else wrong
    return FormatError(
        f"{path} cannot be read: {reason}.",
        f"An SAE in SAELens's layout is a directory with {CONFIG_FILE} and {WEIGHTS_FILE}.",
    )
