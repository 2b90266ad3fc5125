"""The cache of tokenised datasets: an entry is written whole or not at all, and checked before it is used."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from saetui.errors import HomeError
from saetui.failpoints import hit
from saetui.formats import caches
from saetui.formats.directories import new_directory, remove_tree
from saetui.formats.durable import open_private


@dataclass(frozen=True)
class TokenEntry:
    """A sound entry: its key, its manifest, its file of tokens, and whether it was there before."""

    key: str
    manifest: caches.TokenManifest
    tokens: Path
    found: bool


def find_or_make(cache: Path, key: str, make: Callable[[BinaryIO], caches.TokenManifest]) -> TokenEntry:
    """The entry of a key, made where there is none or a damaged one.

    Of several processes that want the same entry one makes it while the others wait. Whenever a process is killed, an
    entry is there whole (by a rename) or not at all.

    Args:
        cache: the cache directory of a home. Entries lie in `tokens/` below it.
        key: a hash of everything that the entry depends on.
        make: writes the tokens to a file and describes them.

    Raises:
        HomeError: the directory cannot be written to.
    """
    place = cache / caches.TOKENS / key
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with caches.EntryLock(place, exclusive=True, wait=True):
            manifest = _sound(place)
            if manifest is not None:
                # The time of the last use, which lists of the cache show.
                os.utime(place)
                return TokenEntry(key, manifest, place / caches.TOKENS_FILE, found=True)
            for stale in place.parent.glob(f".{key}.*"):
                # A killed process left it: a running one would hold the lock.
                remove_tree(stale)
            with new_directory(place, point="tokens") as hidden:
                with open_private(hidden / caches.TOKENS_FILE) as out:
                    hit("tokens.write")
                    manifest = make(out)
                with open_private(hidden / caches.MANIFEST) as out:
                    out.write(caches.manifest_json(manifest))
    except OSError as error:
        raise HomeError(
            f"Tokens cannot be kept in {place.parent}: {error.strerror or error}.",
            "Make the directory writable, free some space, or set SAETUI_HOME to another place.",
        ) from error
    return TokenEntry(key, manifest, place / caches.TOKENS_FILE, found=False)


def _sound(place: Path) -> caches.TokenManifest | None:
    """The manifest of an entry whose tokens match its checksum. None for any other entry, which is then made again."""
    manifest = caches.read_manifest(place, caches.TokenManifest)
    try:
        if manifest is None or manifest.version != caches.TOKENS_VERSION:
            return None
        return (
            manifest if caches.file_checksum(place / caches.TOKENS_FILE, caches.TOKENS) == manifest.checksum else None
        )
    except OSError:
        return None
