"""A tiny language model and real text, so that a first training needs no download.

`TINY` is the directory of the model (`bundled:tiny`), made by `python -m saetui.bundled.making`.
`stdlib_files()` is the text (`bundled:stdlib`): the source of the Python standard library that runs saetui.
This module imports only the standard library, so that clients can use it without loading torch.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from saetui.errors import DatasetError

__all__ = ["TINY", "stdlib_files", "stdlib_root"]

TINY: Path = Path(__file__).resolve().parent / "tiny"
"""The directory of the bundled language model, as transformers saves one."""

_WAY_OUT = "Choose a text file or a directory as the dataset, or run saetui with a full Python."
_FEWEST_FILES = 50
"""A complete standard library has several hundred files; a stripped one keeps a handful of stubs."""

_LEFT_OUT_DIRECTORIES = frozenset(
    {
        "__pycache__", "site-packages", "dist-packages", "lib-dynload", "test", "tests", "idle_test",
        # Generated tables: rows of code points and one string of manual pages would fill a seventh of the text.
        "encodings", "pydoc_data",
    }
)  # fmt: skip

_LEFT_OUT_PREFIXES = ("config-", "_sysconfigdata_")
"""Files that the build of this interpreter wrote: paths and compiler flags of the machine, different everywhere."""


def stdlib_root() -> Path:
    """The directory that holds the standard library of the running Python.

    Raises:
        DatasetError: there is no such directory, as in an interpreter frozen into one file.
    """
    root = Path(sysconfig.get_path("stdlib"))
    if not root.is_dir():
        raise DatasetError(
            f"The standard library's directory {root} does not exist, so bundled:stdlib has no text.", _WAY_OUT
        )
    return root


def stdlib_files() -> list[Path]:
    """The source files of the standard library, in an order that depends on nothing but their names.

    Left out: installed packages, tests and their data, compiled code, generated tables, and files about the build of
    this interpreter.

    Returns:
        Absolute paths of `.py` files, sorted by their path relative to `stdlib_root()`.

    Raises:
        DatasetError: this Python came without the source of its standard library.
    """
    root = stdlib_root()
    found = list(_source_below(root))
    if len(found) < _FEWEST_FILES:
        raise DatasetError(
            f"Only {len(found)} source files of the standard library are in {root}: "
            "this Python came without its source, so bundled:stdlib has no text.",
            _WAY_OUT,
        )
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _source_below(root: Path) -> Iterator[Path]:
    """The source files; left-out directories are not even entered (there may be many packages)."""
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if _is_kept(name)]
        yield from (Path(directory, name) for name in names if name.endswith(".py") and _is_kept(name))


def _is_kept(name: str) -> bool:
    return name not in _LEFT_OUT_DIRECTORIES and not name.startswith(_LEFT_OUT_PREFIXES)
