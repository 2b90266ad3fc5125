"""Texts that shall be paths, as users give them: what can be none is said before the system is asked."""

from __future__ import annotations

from pathlib import Path

from saetui.errors import InvalidInput

PATH_BYTES = 4095
"""Of a path (PATH_MAX less its end mark)."""

NAME_BYTES = 255
"""Of one name in it (NAME_MAX)."""

_SHOWN = 40


def why_no_path(text: str) -> str | None:
    """Why a text can be no path; None where it can."""
    if "\0" in text:
        return f"{shortened(text)} holds a zero byte, which no path has."
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return f"{shortened(text)} is not in UTF-8, and saetui keeps texts in UTF-8 alone."
    if len(encoded) > PATH_BYTES:
        return f"{shortened(text)} has {len(encoded)} bytes; a path has at most {PATH_BYTES}."
    longest = max((len(name) for name in encoded.split(b"/")), default=0)
    if longest > NAME_BYTES:
        return f"{shortened(text)} holds a name of {longest} bytes; the most are {NAME_BYTES}."
    try:
        Path(text).expanduser()
    except RuntimeError:
        return f"{shortened(text)} begins with a user that this machine does not know."
    return None


def user_path(text: str) -> Path:
    """The absolute path that a user means.

    Raises:
        InvalidInput: the text can be no path.
    """
    reason = why_no_path(text)
    if reason is not None:
        raise InvalidInput(reason, "Give another path.")
    return Path(text).expanduser().absolute()


def shortened(text: str) -> str:
    """A text that may be very long, for a message; what no terminal can show is escaped."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return shown.encode(errors="backslashreplace").decode()
