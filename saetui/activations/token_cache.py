"""The directory of one tokenised dataset: written whole or not at all, and checked before it is used.

`tokens.bin` holds the contexts, one after the other, and then for each the number of rows that it gives
(token_writer.py); `manifest.json` says how many, and of which type, and has a digest of itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from saetui.errors import HomeError
from saetui.failpoints import hit
from saetui.formats.digests import fields_digest
from saetui.formats.directories import new_directory, remove_tree
from saetui.formats.durable import open_private

__all__ = ["CacheEntry", "TokenManifest", "find_or_make"]

_VERSION = 4
_TOKENS = "tokens.bin"
_MANIFEST = "manifest.json"
_CHUNK = 2**22


@dataclass(frozen=True)
class TokenManifest:
    """What lies in a cache entry.

    Attributes:
        contexts: how many there are.
        context_length: tokens in each.
        dtype: of a token: uint16 or uint32.
        documents: how many documents the text had.
        bad_rows: how many rows had no usable text.
        tokens: tokens of text, without separators and beginnings.
        largest_token: the largest token id.
        checksum: BLAKE2b (16 bytes) of the tokens file.
        bad_row_reasons: why the first few of them had none, with the files' names when they were read.
        remarks: sentences on how rows were taken that are no plain text.
        source: what the text was named when it was read, for people; the key goes by content.
        version: of this layout.
    """

    contexts: int
    context_length: int
    dtype: str
    documents: int
    bad_rows: int
    tokens: int
    largest_token: int
    checksum: str
    bad_row_reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    source: str | None = None
    version: int = _VERSION


@dataclass(frozen=True)
class CacheEntry:
    """A sound entry: its key, its manifest, and its file of tokens; `found` unless it was made just now."""

    key: str
    manifest: TokenManifest
    tokens: Path
    found: bool


def find_or_make(directory: Path, key: str, make: Callable[[BinaryIO], TokenManifest]) -> CacheEntry:
    """Returns the entry of a key, making it where there is none or a damaged one.

    Of several processes that want the same entry one makes it while the others wait. An entry appears
    whole (by a rename) or not at all, whenever the process is killed.

    Args:
        directory: where entries live; made when it is missing.
        key: names the entry: a hash of everything that it depends on.
        make: writes the tokens to a file and describes them.

    Raises:
        HomeError: the directory cannot be written to.
    """
    place = directory / key
    with _writable(directory), _locked(directory, key):
        manifest = _sound(place)
        if manifest is not None:
            # The time of the last use, for who lists the cache.
            os.utime(place)
            return CacheEntry(key, manifest, place / _TOKENS, found=True)
        for stale in directory.glob(f".{key}.*"):
            # Left by a process that was killed: whoever else could be writing it would hold the lock.
            remove_tree(stale)
        with new_directory(place, point="tokens") as part:
            manifest = _fill(part, make)
    return CacheEntry(key, manifest, place / _TOKENS, found=False)


def _fill(part: Path, make: Callable[[BinaryIO], TokenManifest]) -> TokenManifest:
    with open_private(part / _TOKENS) as out:
        hit("tokens.write")
        manifest = make(out)
    fields = asdict(manifest)
    with open_private(part / _MANIFEST) as out:
        out.write(json.dumps({**fields, "digest": fields_digest(fields)}, indent=1).encode())
    return manifest


def _sound(place: Path) -> TokenManifest | None:
    """The manifest of an entry whose tokens are what it says, or None."""
    try:
        fields = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        if fields.pop("digest") != fields_digest(fields):
            return None
        lists = {name: tuple(fields.get(name, ())) for name in ("bad_row_reasons", "remarks")}
        manifest = TokenManifest(**{**fields, **lists})
        if manifest.version != _VERSION or _checksum(place / _TOKENS) != manifest.checksum:
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # Missing, cut short, altered, or of another version: whatever it is, it will be made again.
        return None
    return manifest


def _checksum(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _writable(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise HomeError(
            f"Tokens cannot be kept in {directory}: {error.strerror or error}.",
            "Make the directory writable, free some space, or set SAETUI_HOME to another place.",
        ) from error


@contextmanager
def _locked(directory: Path, key: str) -> Iterator[None]:
    """Holds the key's lock, which the system lets go of when a process dies."""
    locks = directory / "locks"
    locks.mkdir(mode=0o700, exist_ok=True)
    with open_private(locks / key) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
