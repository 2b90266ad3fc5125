"""Directories as a whole: the files of one, alike for who looks a dataset over and who reads it; and removing one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from saetui.errors import DatasetError


def files_below(directory: Path) -> list[Path]:
    """All files, in the order of their names, with links that lead nowhere, for they are meant to be files.

    Hidden files and directories (`.git`, `.ipynb_checkpoints`) are left out; links to directories are not followed.

    Raises:
        DatasetError: the directory, or one below it, cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    found = []
    try:
        for place, below, names in os.walk(directory, onerror=refuse):
            below[:] = [name for name in below if not name.startswith(".")]
            paths = [Path(place, name) for name in names if not name.startswith(".")]
            found += [path for path in paths if path.is_file() or not path.exists()]
    except OSError as error:
        raise DatasetError(
            f"{error.filename} in the dataset {directory} cannot be read: {error.strerror}.",
            "Make it readable, or take it out of the dataset.",
        ) from error
    return sorted(found)


def remove_tree(path: Path) -> None:
    """Remove a file, a link (not what it means), or a directory with all that is in it.

    Raises:
        OSError: some of it cannot be removed; as much as can be is.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        # Once more, to learn what could not be removed.
        shutil.rmtree(path)
