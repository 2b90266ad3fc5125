"""How much the activations on disk may take, and making room for more of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from saetui.catalog.caches import ACTIVATIONS, CacheEntry, delete_cache, list_caches
from saetui.errors import Conflict, InvalidInput
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
    """Bytes that activations may take; None: jobs keep none, and `saetui cache build` as much as is asked for."""
    try:
        limit: int = msgspec.json.decode(read_regular(cache / _LIMIT, 1 << 10), type=dict[str, int])["limit_bytes"]
    except (OSError, msgspec.DecodeError, KeyError):
        return None
    return limit


def write_limit(cache: Path, limit: int | None) -> None:
    """Sets or lifts the limit.

    Raises:
        OSError: the directory cannot be written to.
    """
    if limit is None:
        (cache / _LIMIT).unlink(missing_ok=True)
        return
    write_durably(cache / _LIMIT, msgspec.json.encode({"limit_bytes": limit}), point="limit")


def parse_size(text: str) -> int:
    """Bytes from what a person writes: `20GB`, `1.5 GiB`, `500M`; 0 needs no unit.

    Raises:
        InvalidInput: it is no size, or a number without its unit.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in _UNITS:
        raise InvalidInput(f"{text!r} is not a size.", _AS)
    if not match[2] and float(match[1]) != 0:
        raise InvalidInput(f"{text!r} is not a size: it has no unit.", _AS)
    return int(float(match[1]) * _UNITS[match[2].upper()])


def make_room(cache: Path, needed: int, keep: Sequence[str] = ()) -> list[CacheEntry]:
    """Deletes activations, those first that were not used for longest, until so many bytes more are within the limit.

    Args:
        cache: the cache directory of a home.
        needed: bytes that are to be written.
        keep: keys that are not to be deleted.

    Returns:
        What was deleted.

    Raises:
        Conflict: there cannot be so much room; nothing was deleted.
    """
    limit = read_limit(cache)
    entries = [entry for entry in list_caches(cache) if entry.kind == ACTIVATIONS]
    deleted: list[CacheEntry] = []
    if limit is not None:
        held = sum(entry.bytes for entry in entries if entry.key in keep)
        if held + needed > limit:
            raise Conflict(
                f"These activations take {_in_words(held + needed)}, more than the cache's limit of {_in_words(limit)}.",
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
                f"The cache has {_in_words(total)} in use and needs {_in_words(needed)} more; its limit is "
                f"{_in_words(limit)}.",
                "Raise it (saetui cache limit SIZE), or wait for the jobs that use it.",
            )
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise Conflict(
            f"These activations take {_in_words(needed)}, and {_in_words(free)} are free on the disk.",
            "Free some space, or choose fewer layers or less text.",
        )
    return deleted


def _in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
