"""JSON objects with a checksum of themselves, so that a flipped bit is never read as a value.

The last member of the object is `"crc"`: the CRC-32 of every byte before it (and before its comma), in eight
hexadecimal digits. The file stays JSON that anybody can read.
"""

from __future__ import annotations

import re
import zlib
from typing import TypeVar

import msgspec

from saetui.formats.durable import seal

T = TypeVar("T", bound=msgspec.Struct)

__all__ = ["SEAL", "Damaged", "check_seal", "decode_sealed", "seal"]

SEAL = "crc"
_SEAL = re.compile(rb',?\s*"crc":\s*"([0-9a-f]{8})"\s*\}\s*')
_SEAL_LENGTH = 64
"""More bytes than a seal has, white space included."""


class Damaged(msgspec.ValidationError):
    """The content is not what was written."""


def check_seal(content: bytes) -> bool:
    """Whether the content is sealed.

    Raises:
        Damaged: it is, and the checksum is wrong.
    """
    start = max(0, len(content) - _SEAL_LENGTH)
    place = content.rfind(b'"crc"', start)
    if place < 0:
        return False
    comma = content.rfind(b",", start, place)
    begin = comma if comma >= 0 and not content[comma + 1 : place].strip() else place
    found = _SEAL.fullmatch(content, begin)
    if found is None:
        return False
    if zlib.crc32(content[:begin]) != int(found[1], 16):
        raise Damaged("its checksum is wrong")
    return True


def decode_sealed(content: bytes, kind: type[T]) -> T:
    """Read a sealed object. An object without a seal, of an older saetui, may have no unknown members.

    Raises:
        msgspec.DecodeError: it is damaged, or another kind of object.
    """
    try:
        if not check_seal(content):
            unknown = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).keys() - set(
                kind.__struct_encode_fields__
            )
            if unknown:
                # The damage may have hit the seal itself.
                raise Damaged(f"it has an unknown member {', '.join(sorted(unknown))}")
        return msgspec.json.decode(content, type=kind)
    except (UnicodeDecodeError, RecursionError) as error:
        raise Damaged(str(error)) from error
