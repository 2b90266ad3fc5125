"""The files of an SAE's directory: written all or none, and read as files that a stranger may have made, checked by checksums."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from saetui.display.figures import size
from saetui.errors import FormatError
from saetui.formats.directories import replace_directory
from saetui.formats.regular import LFS_POINTER, NotRegular, open_regular, read_regular, sha256_of

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
LARGEST_CONFIG = 1 << 20
"""Bytes that a JSON file of an SAE may have: 1 MiB."""
AGAIN = "Export or download the SAE again."
ORIGIN_FILE = "origin.json"
"""In imported SAEs: the names of the folders it was in. Some tools give an SAE's layer and site only there."""
CHECKSUMS = "checksums"
"""sha256 digests in cfg.json's metadata, which every other reader ignores: a flipped bit in a weight shows nowhere else. A
directory of an older saetui or of another tool has none, and is read without a check."""
_ANOTHER_COPY = "Export it again from a checkpoint, or take another copy."
_ORIGIN_DEPTH = 8
_LARGEST_SIZE = 1 << 24
_ARCHIVE_ERRORS = (ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, MemoryError, zipfile.BadZipFile)
"""What NumPy raises for a damaged archive."""


def write_export(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a directory (mode 0700, its parent must exist) of files (0600) as one step.

    An older export with the same file names is replaced, and stays until then.

    Raises:
        FormatError: something that is not an export is in the way.
        OSError: the disk refuses; nothing is left behind.
    """
    foreign = [entry.name for entry in directory.iterdir() if entry.name not in files] if directory.is_dir() else []
    if foreign or (directory.exists() and not directory.is_dir()):
        raise FormatError(
            f"{directory} is in the way: it holds {', '.join(sorted(foreign)[:3]) or 'a file'}, not an export.",
            "Choose another directory.",
        )
    replace_directory(directory, files, point="export")


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
    """The arrays of a NumPy archive (.npz) as tensors, floating-point ones as float32. Pickles in it are not read.

    `names`: all arrays that it may hold.

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
    except _ARCHIVE_ERRORS as wrong:
        raise FormatError(f"{path} is damaged: {wrong}.", AGAIN) from wrong
    return _as_float32(tensors, path)


def folders_of(directory: Path) -> tuple[str, ...]:
    """The names of the last folders of an SAE's path, outermost first; for an imported SAE of the path it came from.

    Raises:
        FormatError: the note of an import is damaged.
    """
    note = directory / ORIGIN_FILE
    if not note.exists():
        return directory.absolute().parts[-_ORIGIN_DEPTH:]
    folders = read_json(note).get("folders")
    if not isinstance(folders, list) or not all(isinstance(name, str) for name in folders):
        raise FormatError(f"{note} does not say which folders the SAE was in.", "Import the SAE again.")
    return tuple(folders)


def origin_note(directory: Path) -> bytes:
    """The content of `ORIGIN_FILE` for an SAE that is imported from a directory."""
    return json.dumps({"folders": folders_of(directory)}).encode()


def read_file(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most `limit` bytes.

    Raises:
        FormatError: it cannot be read, is larger, or is a device or a pipe.
    """
    require_regular(path, limit)
    try:
        return read_regular(path, limit)
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong


def require_regular(path: Path, limit: int | None = None) -> None:
    """Require that a path leads to a plain file: a pipe would wait for ever, a device never end.

    Links are followed (the Hub's cache is made of links): their target is only read, and checked like any other file.

    Raises:
        FormatError: there is none, or it has more than `limit` bytes, or is a pointer of Git LFS.
    """
    try:
        with open_regular(path) as file:
            length, start = os.fstat(file.fileno()).st_size, file.read(len(LFS_POINTER))
    except NotRegular as wrong:
        raise FormatError(f"{path} is not a plain file: {wrong.strerror}.", AGAIN) from wrong
    except (OSError, ValueError) as wrong:
        raise _unreadable(path, wrong) from wrong
    if limit is not None and length > limit:
        raise FormatError(f"{path} is larger than {size(limit)}.", "It is not an SAE's configuration.")
    if start == LFS_POINTER:
        raise FormatError(
            f"{path} is a Git LFS pointer, not the file itself.",
            "Fetch the file with `git lfs pull` in its repository, or download it again.",
        )


def checksums_of(config: Mapping[str, Any], weights: bytes) -> dict[str, str]:
    """The checksums of a configuration (less the checksums in it) and of the file of weights."""
    return {"config": _of_config(config), "weights": hashlib.sha256(weights).hexdigest()}


def require_unchanged(directory: Path, config: Mapping[str, Any], weights: Path) -> None:
    """Require that both files are as they were written, where the checksums are known.

    Raises:
        FormatError: one of them has changed, or they do not belong together.
    """
    known = _known(config)
    if known is None and not _has_other_name(config):
        return
    if known is None or known.get("config") != _of_config(config):
        raise FormatError(
            f"{directory}: its configuration has changed since it was written.",
            f'{_ANOTHER_COPY} If you changed it on purpose, remove "{CHECKSUMS}" from its metadata.',
        )
    try:
        found = sha256_of(weights)
    except OSError as error:
        raise FormatError(f"{weights} cannot be read: {error.strerror}.", _ANOTHER_COPY) from error
    if known.get("weights") != found:
        raise FormatError(f"{weights} is damaged: it has changed since it was written.", _ANOTHER_COPY)


def whole_number(config: Mapping[str, Any], name: str, path: Path, at_most: int = _LARGEST_SIZE) -> int:
    """A size in a configuration.

    Raises:
        FormatError: it is missing, or no whole number from 1 to `at_most`.
    """
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= at_most:
        raise FormatError(
            f"{name} in {path} is {value!r}.",
            "It must be a whole number that fits the SAE: export or download it again.",
        )
    return value


def _as_float32(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        tensors[name] = tensor.to(torch.float32)
        if not bool(torch.isfinite(tensors[name]).all()):
            raise FormatError(f"{name} in {path} holds values that are not finite.", "Take another checkpoint.")
    return tensors


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _unreadable(path: Path, wrong: OSError | ValueError) -> FormatError:
    reason = wrong.strerror if isinstance(wrong, OSError) else wrong
    return FormatError(
        f"{path} cannot be read: {reason}.",
        f"An SAE in SAELens's layout is a directory with {CONFIG_FILE} and {WEIGHTS_FILE}.",
    )


def _known(config: Mapping[str, Any]) -> dict[str, str] | None:
    own = config.get("metadata", {}).get("saetui") if isinstance(config.get("metadata"), dict) else None
    known = own.get(CHECKSUMS) if isinstance(own, dict) else None
    return known if isinstance(known, dict) else None


def _has_other_name(values: object) -> bool:
    """Whether the checksums are there under another name: a letter of the key was damaged."""
    if not isinstance(values, dict):
        return False
    digests = [value for value in values.values() if isinstance(value, str) and len(value) == 64]
    return len(digests) >= 2 or any(_has_other_name(value) for value in values.values())


def _of_config(config: Mapping[str, Any]) -> str:
    """Of the content of the JSON, not of its spacing."""
    plain = json.loads(json.dumps(config))
    own = plain.get("metadata", {}).get("saetui")
    if isinstance(own, dict):
        own.pop(CHECKSUMS, None)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
