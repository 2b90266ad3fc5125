"""Copying finished directories out: whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from saetui.errors import Conflict, SaetuiError
from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, fsync_file


def copy_out(parts: Mapping[str, Path], target: Path) -> None:
    """Copy directories into a new one, which appears under its name only when everything is in it.

    Args:
        parts: the name inside the target → the directory to copy; the name "" is the target itself, and then alone.
        target: does not exist, or is an empty directory.

    Raises:
        Conflict: there is something at the target; it is left as it is.
        SaetuiError: the place cannot be written to, or is full; nothing is left behind.
    """
    refuse_occupied(target)
    hidden = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
        try:
            for name, source in parts.items():
                _copy_directory(source, hidden / name)
            # Onto an empty directory this is one step too; onto a full one, made meanwhile, it fails.
            hit("copy.rename")
            os.rename(hidden, target)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        fsync_directory(target.parent, point="copy")
    except OSError as error:
        raise SaetuiError(
            f"{target} could not be written: {error.strerror} ({error.filename}).",
            "Choose a place with room where you may write.",
        ) from error


def refuse_occupied(target: Path) -> None:
    """See that a directory can be made here.

    Raises:
        Conflict: a file, or a directory with something in it, has the name.
    """
    way_out = "Choose a directory that is empty or does not exist; saetui overwrites nothing."
    if target.is_dir():
        if any(target.iterdir()):
            raise Conflict(f"{target} is not empty.", way_out)
    elif target.exists() or target.is_symlink():
        raise Conflict(f"{target} is there already and is not a directory.", way_out)


def _copy_directory(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_file():
            copy = target / entry.name
            hit("copy.write")
            shutil.copyfile(entry, copy)
            fsync_file(copy, point="copy")
    fsync_directory(target)
