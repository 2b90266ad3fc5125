"""Texts that users give as paths. A text that cannot be a path is refused before the system is asked."""

from __future__ import annotations

import errno
from pathlib import Path

from saetui.errors import InvalidInput

PATH_BYTES = 4095
"""The most bytes of a path (PATH_MAX less the NUL at its end)."""

NAME_BYTES = 255
"""The most bytes of one name in a path (NAME_MAX)."""

_SHOWN = 40


def why_no_path(text: str) -> str | None:
    """Why a text cannot be a path. None if it can."""
    if "\0" in text:
        return f"{shortened(text)} contains a NUL byte, which no path can."
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return f"{shortened(text)} is not in UTF-8, the only encoding that saetui keeps texts in."
    if len(encoded) > PATH_BYTES:
        return f"{shortened(text)} has {len(encoded)} bytes; a path has at most {PATH_BYTES}."
    longest = max((len(name) for name in encoded.split(b"/")), default=0)
    if longest > NAME_BYTES:
        return f"{shortened(text)} holds a name of {longest} bytes; the most are {NAME_BYTES}."
    try:
        Path(text).expanduser()
    except RuntimeError:
        return f"{shortened(text)} begins with the home of a user that this machine does not have."
    return None


def why_unreachable(path: Path) -> str | None:
    """Why it cannot be told what is at a path: a directory on the way is closed to this user, or its disk does not answer.

    None where that is known, also where nothing is there. `Path.exists` and `Path.is_dir` raise the error instead.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return f"{shortened(str(path))} cannot be reached: {error.strerror}."
    return None


def user_path(text: str) -> Path:
    """The absolute path for a text from a user.

    Raises:
        InvalidInput: the text cannot be a path, or this user may not look there.
    """
    reason = why_no_path(text)
    if reason is not None:
        raise InvalidInput(reason, "Give another path.")
    path = Path(text).expanduser().absolute()
    closed = why_unreachable(path)
    if closed is not None:
        raise InvalidInput(closed, "Check its permissions, or give another path.")
    return path


def shortened(text: str) -> str:
    """A text of any length, cut and escaped for a message."""
    return escaped(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def escaped(text: str) -> str:
    """A text with escapes for what UTF-8 does not have: bytes of a file's name in another encoding, half characters."""
    return text.encode(errors="backslashreplace").decode()
