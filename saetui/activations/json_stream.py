"""Reads the elements of JSON arrays one by one, so that the file may be larger than memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

__all__ = ["DamagedJson", "iterate_json"]

_CHUNK = 2**20
_LONGEST = 2**28
"""Characters of one value: a document of 256 MiB is longer than any book."""
_BETWEEN = " \t\r\n,"
_END_OF_VALUE = frozenset('}]"')


class DamagedJson(ValueError):
    """The text is not JSON; the message says where it stops being so."""


def iterate_json(stream: TextIO) -> Iterator[object]:
    """Reads values that follow each other; of those that are arrays, the elements.

    Raises:
        DamagedJson: the text stops being JSON, or a value is too long to be held.
    """
    decoder = json.JSONDecoder(parse_int=_integer)
    buffer, position, done, ended = "", 0, 0, False
    inside = False
    want = _CHUNK
    while True:
        position = _skip(buffer, position)
        if buffer[position : position + 1] == ("]" if inside else "["):
            inside = not inside
            position += 1
            continue
        try:
            # A number at the end of what was read may go on behind it; values of interest end in a mark.
            value, end = decoder.raw_decode(buffer, position)
            complete = ended or end < len(buffer) or buffer[end - 1] in _END_OF_VALUE
        except RecursionError as error:
            raise DamagedJson(f"the value at character {done + position} is nested too deeply") from error
        except ValueError:
            complete = False
        if complete:
            yield value
            position, want = end, _CHUNK
            continue
        if ended:
            if position >= len(buffer) and not inside:
                return
            raise DamagedJson(f"it stops being JSON at character {done + position}")
        if len(buffer) - position > _LONGEST:
            raise DamagedJson(f"the value at character {done + position} does not end within {_LONGEST:,} characters")
        # An element longer than the buffer is tried again only when there is twice as much of it.
        more = stream.read(want)
        want *= 2
        ended = not more
        done += position
        buffer, position = buffer[position:] + more, 0


def _integer(digits: str) -> int | float:
    """A number; one of thousands of digits, which Python refuses as a guard, is infinite."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _skip(buffer: str, position: int) -> int:
    while position < len(buffer) and buffer[position] in _BETWEEN:
        position += 1
    return position
