"""The limit on the size of the activations on disk, and deleting some to make room for others."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from saetui.catalog.caches import CacheEntry, delete_cache, list_caches
from saetui.display.figures import size
from saetui.errors import Conflict, InvalidInput
from saetui.formats.caches import ACTIVATIONS
from saetui.formats.durable import write_durably
from saetui.formats.regular import read_regular

_LIMIT = "limit.json"
_AS = "Write it as 20GB, 500MB or 1.5GiB."
_UNITS = {"": 1, "B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for suffix, base in (("", 1024), ("B", 1000), ("IB", 1024))
}


def read_limit(cache: Path) -> int | None:
    """The most bytes of activations. None: jobs keep none, and `saetui cache build` keeps everything that it builds."""
    try:
        limit: int = msgspec.json.decode(read_regular(cache / _LIMIT, 1 << 10), type=dict[str, int])["limit_bytes"]
    except (OSError, msgspec.DecodeError, KeyError):
        return None
    return limit


def write_limit(cache: Path, limit: int | None) -> None:
    """Set the limit, or remove it with None.

    Raises:
        OSError: the directory cannot be written to.
    """
    if limit is None:
        (cache / _LIMIT).unlink(missing_ok=True)
        return
    write_durably(cache / _LIMIT, msgspec.json.encode({"limit_bytes": limit}), point="limit")


def parse_size(text: str) -> int:
    """The bytes that a text says: `20GB`, `1.5 GiB`, `500M`. Only 0 needs no unit.

    Raises:
        InvalidInput: the text is not a size, or a number without a unit.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in _UNITS:
        raise InvalidInput(f"{text!r} is not a size.", _AS)
    if not match[2] and float(match[1]) != 0:
        raise InvalidInput(f"{text!r} is not a size: it has no unit.", _AS)
    return int(float(match[1]) * _UNITS[match[2].upper()])


def make_room(cache: Path, needed: int, keep: Sequence[str] = ()) -> list[CacheEntry]:
    """Delete activations, the longest unused first, until `needed` more bytes are within the limit.

    Args:
        cache: the cache directory of a home.
        needed: bytes to be written.
        keep: the keys of entries that stay.

    Returns:
        The deleted entries.

    Raises:
        Conflict: there cannot be enough room.
    """
    limit = read_limit(cache)
    entries = [entry for entry in list_caches(cache) if entry.kind == ACTIVATIONS]
    deleted: list[CacheEntry] = []
    if limit is not None:
        held = sum(entry.bytes for entry in entries if entry.key in keep)
        if held + needed > limit:
            raise Conflict(
                f"These activations take {size(held + needed)}, more than the cache's limit of {size(limit)}.",
                "Raise it (saetui cache limit SIZE), or choose fewer layers or less text.",
            )
        total = sum(entry.bytes for entry in entries)
        for entry in sorted(entries, key=lambda entry: entry.used_at):
            if total + needed <= limit:
                break
            if entry.key in keep:
                continue
            try:
                delete_cache(entry)
            except Conflict:
                continue
            total -= entry.bytes
            deleted.append(entry)
        if total + needed > limit:
            raise Conflict(
                f"The cache has {size(total)} in use and needs {size(needed)} more; its limit is {size(limit)}.",
                "Raise it (saetui cache limit SIZE), or wait for the jobs that use it.",
            )
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise Conflict(
            f"These activations take {size(needed)}, and {size(free)} are free on the disk.",
            "Free some space, or choose fewer layers or less text.",
        )
    return deleted
