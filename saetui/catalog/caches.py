"""The caches of tokens and activations: list, verify and delete entries, without torch. formats/caches.py has their layout."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.formats.caches import (
    ACTIVATIONS,
    MANIFEST,
    TOKENS,
    TOKENS_FILE,
    ActivationManifest,
    EntryLock,
    Kind,
    TokenManifest,
    file_checksum,
    read_manifest,
)
from saetui.formats.directories import bytes_in, remove_tree
from saetui.formats.paths import escaped

_KEY = re.compile(r"[0-9a-f]+")
_HIDDEN = re.compile(r"\.([0-9a-f]+)\.(deleted|[0-9a-f]{8}\.new|[a-z0-9_]{8})")
"""The name of an entry, key first, while it is deleted or made. The last form is of an older saetui."""


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a cache.

    Attributes:
        key: the entry's name: a hash of everything that it depends on.
        kind: tokens of a text, or activations of one site of a model over such tokens.
        directory: the entry's directory.
        bytes: its present size on disk.
        used_at: the time of its last use: ISO 8601, UTC.
        readable: whether its manifest can be read. If not, nothing below is known.
        model, revision, site, dtype: of activations; None for tokens.
        dataset: the user's name for the text when it was read; None where it was not noted.
        dataset_key: the key of the tokens.
        context_length: tokens in a context.
        tokens: the number of tokens, or of rows, of the complete entry.
        done: the finished share, 0..1.
        complete: whether the entry can be used.
        created_at: ISO 8601, UTC.
    """

    key: str
    kind: Kind
    directory: str
    bytes: int
    used_at: str
    readable: bool = False
    model: str | None = None
    revision: str | None = None
    site: str | None = None
    dtype: str | None = None
    dataset: str | None = None
    dataset_key: str | None = None
    context_length: int | None = None
    tokens: int | None = None
    done: float | None = None
    complete: bool = False
    created_at: str | None = None

    @property
    def what(self) -> str:
        """In words: `layer_2.resid_post of bundled:tiny`."""
        if not self.readable:
            return f"unreadable {self.kind}"
        return f"tokens of {self.dataset or 'a text'}" if self.site is None else f"{self.site} of {self.model}"


def list_caches(cache: Path) -> list[CacheEntry]:
    """Everything in the cache directory of a home: activations first, and of each kind the last used first."""
    found: list[CacheEntry] = []
    for kind in (ACTIVATIONS, TOKENS):
        for directory in sorted((cache / kind).glob("[!.]*")):
            # Anything else in the cache is the user's: neither shown nor deleted. Hidden entries are being made or deleted.
            if _KEY.fullmatch(directory.name) is None or not directory.is_dir():
                continue
            try:
                found.append(_read_entry(directory, kind))
            except FileNotFoundError:
                continue  # It was deleted in this moment.
    newest_first = sorted(found, key=lambda entry: entry.used_at, reverse=True)
    return sorted(newest_first, key=lambda entry: entry.kind)


def find_caches(cache: Path, names: Sequence[str]) -> list[CacheEntry]:
    """The entries with these keys, or unique beginnings of keys.

    Raises:
        NotFound: no key begins so.
        InvalidInput: several keys begin so.
    """
    entries = list_caches(cache)
    found = []
    for name in names:
        meant = [entry for entry in entries if name and entry.key.startswith(name)]
        if not meant:
            raise NotFound(f"Nothing in the cache is named {name!r}.", "See `saetui cache list`.")
        if len(meant) > 1:
            raise InvalidInput(f"{name!r} is the beginning of {len(meant)} entries' keys.", "Write more of the key.")
        found.append(meant[0])
    return found


def verify_cache(entry: CacheEntry) -> list[str]:
    """Read an entry whole. A sentence for each problem; none when the entry is sound."""
    directory = Path(entry.directory)
    unreadable = f"{directory / MANIFEST} is missing or damaged: what the entry holds is unknown."
    if entry.kind == TOKENS:
        tokens = read_manifest(directory, TokenManifest)
        if tokens is None:
            return [unreadable]
        problems = [_problem(directory / TOKENS_FILE, TOKENS, tokens.checksum)]
    else:
        activations = read_manifest(directory, ActivationManifest)
        if activations is None:
            return [unreadable]
        # Only the name of the file: a path from inside a file is not followed.
        problems = [
            _problem(directory / Path(shard.file).name, ACTIVATIONS, shard.checksum, shard.bytes)
            for shard in activations.shards
        ]
    return [problem for problem in problems if problem is not None]


def delete_cache(entry: CacheEntry) -> None:
    """Delete an entry. For other processes it disappears as one step.

    Raises:
        Conflict: a job or a build is using it.
        OSError: it cannot be removed.
    """
    directory = Path(entry.directory)
    with EntryLock(directory, exclusive=True) as lock:
        if not lock.held:
            raise Conflict(
                f"{entry.key[:8]} ({entry.what}) is in use.", "Stop the jobs that use it, or wait for their end."
            )
        hidden = directory.with_name(f".{directory.name}.deleted")
        if os.path.lexists(hidden):
            remove_tree(hidden)
        directory.rename(hidden)
        remove_tree(hidden)


def delete_leftovers(cache: Path) -> int:
    """Delete what killed processes left: text half tokenised, entries half deleted. Nothing else would.

    Returns:
        The number of bytes that were deleted.

    Raises:
        OSError: something cannot be removed.
    """
    total = 0
    for kind in (ACTIVATIONS, TOKENS):
        for left in list((cache / kind).glob(".*.*")):
            named = _HIDDEN.fullmatch(left.name)
            if named is None or left.is_symlink():
                continue
            # A process that is still at work holds the lock of the key.
            with EntryLock(left.with_name(named[1]), exclusive=True) as lock:
                if lock.held and left.is_dir():
                    total += bytes_in(left)
                    shutil.rmtree(left)
    return total


def _read_entry(directory: Path, kind: Kind) -> CacheEntry:
    """
    Raises:
        FileNotFoundError: it is gone.
    """
    used_at = datetime.fromtimestamp(directory.stat().st_mtime, timezone.utc).isoformat(timespec="seconds")
    entry = CacheEntry(
        key=directory.name, kind=kind, directory=str(directory), bytes=bytes_in(directory), used_at=used_at
    )
    if kind == TOKENS:
        tokens = read_manifest(directory, TokenManifest)
        if tokens is None:
            return entry
        return msgspec.structs.replace(
            entry,
            readable=True,
            dataset=None if tokens.source is None else escaped(tokens.source),
            dataset_key=directory.name,
            context_length=tokens.context_length,
            tokens=tokens.tokens,
            done=1.0,
            complete=True,
        )
    activations = read_manifest(directory, ActivationManifest)
    if activations is None:
        return entry
    return msgspec.structs.replace(
        entry,
        readable=True,
        model=escaped(activations.model),
        revision=activations.revision,
        site=activations.site,
        dtype=activations.dtype,
        dataset=escaped(activations.dataset),
        dataset_key=activations.dataset_key,
        context_length=activations.context_length,
        tokens=activations.rows,
        done=activations.done / activations.contexts if activations.contexts else 1.0,
        complete=activations.is_complete,
        created_at=activations.created_at,
    )


def _problem(path: Path, kind: Kind, checksum: str, size: int | None = None) -> str | None:
    """What is wrong with a file of an entry."""
    try:
        if size is not None and path.stat().st_size != size:
            return f"{path} has {path.stat().st_size} bytes, not {size}."
        found = file_checksum(path, kind)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}."
    return None if found == checksum else f"{path} is damaged: its checksum is not the one in the manifest."
