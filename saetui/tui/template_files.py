"""Files of templates, as the user's own directories hold them."""

from __future__ import annotations

from pathlib import Path

from saetui.errors import InvalidInput
from saetui.formats.durable import write_durably
from saetui.formats.regular import read_regular
from saetui.spec.editing import FILE_LIMIT, decode_text

EXPORT_NAME = "saetui-templates.json"
"""What is offered as the name of an export."""


def read_text(path: Path) -> str:
    """A template file as text.

    Raises:
        InvalidInput: it cannot be read, is too long, or is not text.
    """
    try:
        data = read_regular(path, FILE_LIMIT)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", "Give another file.") from error
    return decode_text(data, path, "give a file that `saetui templates export` wrote")


def write_text(path: Path, text: str) -> None:
    """Write an export whole or not at all.

    Raises:
        InvalidInput: it cannot be written there.
    """
    try:
        write_durably(path, text.encode())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.", "Give another path.") from error
