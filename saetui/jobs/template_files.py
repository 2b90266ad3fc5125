"""Files of templates in the user's own directories, as `saetui templates export` writes them."""

from __future__ import annotations

from pathlib import Path

from saetui.errors import Conflict, InvalidInput, SaetuiError
from saetui.formats.durable import write_durably
from saetui.formats.paths import why_no_path
from saetui.formats.regular import read_regular
from saetui.spec.editing import FILE_LIMIT, decode_text

EXPORT_NAME = "saetui-templates.json"
"""The name that is offered for an export."""

_WAY_OUT = "Give a file that `saetui templates export` wrote."


def read_template_file(path: Path) -> str:
    """The text of a template file.

    Raises:
        InvalidInput: the file cannot be read, is too long, or is not text.
    """
    reason = why_no_path(str(path))
    if reason is not None:
        raise InvalidInput(reason, _WAY_OUT)
    try:
        data = read_regular(path, FILE_LIMIT)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", _WAY_OUT) from error
    return decode_text(data, path, "give a file that `saetui templates export` wrote")


def write_template_file(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a template file, whole or not at all.

    Raises:
        Conflict: something has this name already, and `overwrite` is not set.
        SaetuiError: the file cannot be written there.
    """
    if path.exists() and not overwrite:
        raise Conflict(f"{path} exists already.", "Choose another name; saetui overwrites nothing.")
    try:
        write_durably(path, text.encode())
    except OSError as error:
        raise SaetuiError(
            f"{path} cannot be written: {error.strerror}.", "Choose a place with room where you may write."
        ) from error
