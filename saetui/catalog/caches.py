"""Tokens and activations kept on disk: what there is, whether it is sound, and how much of it there may be.

saetui.activations writes it (cache_layout.py and token_cache.py there say how it lies); here it is read without torch.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Union

import msgspec

from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.formats.digests import fields_digest
from saetui.formats.directories import remove_tree
from saetui.formats.durable import open_private
from saetui.formats.regular import read_regular

if TYPE_CHECKING:
    from hashlib import _Hash, blake2b

    _Digest = Union[_Hash, blake2b]

Kind = Literal["tokens", "activations"]

ACTIVATIONS: Final = "activations"
TOKENS: Final = "tokens"
_MANIFEST = "manifest.json"
_MANIFEST_LIMIT = 64 << 20
"""Bytes that a manifest may have: it names every part of the entry."""
_LOCKS = "locks"
_KEY = re.compile(r"[0-9a-f]+")
_HIDDEN = re.compile(r"\.([0-9a-f]+)\.(deleted|[0-9a-f]{8}\.new|[a-z0-9_]{8})")
"""What an entry is called while it is deleted or made; the last form is of an older saetui. The key comes first."""


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is kept.

    Attributes:
        key: its name: a hash of everything that it depends on.
        kind: tokens of a text, or activations of one site of a model over such tokens.
        directory: where it lies.
        bytes: on disk, now.
        used_at: ISO 8601, UTC.
        readable: whether its manifest says what it holds; where it does not, nothing below is known.
        model, revision, site, dtype: of activations; None for tokens.
        dataset: what the text was named when it was read; None where that was not noted.
        dataset_key: the key of the tokens.
        context_length: tokens in a context.
        tokens: that it holds when it is complete.
        done: the share of it that is there, 0..1.
        complete: whether it can be used.
        created_at: ISO 8601, UTC.
    """

    key: str
    kind: Kind
    directory: str
    bytes: int
    used_at: str
    readable: bool = True
    model: Union[str, None] = None
    revision: Union[str, None] = None
    site: Union[str, None] = None
    dtype: Union[str, None] = None
    dataset: Union[str, None] = None
    dataset_key: Union[str, None] = None
    context_length: Union[int, None] = None
    tokens: Union[int, None] = None
    done: Union[float, None] = None
    complete: bool = False
    created_at: Union[str, None] = None

    @property
    def what(self) -> str:
        """In words: `layer_2.resid_post of bundled:tiny`."""
        if not self.readable:
            return f"unreadable {self.kind}"
        return f"tokens of {self.dataset or 'a text'}" if self.site is None else f"{self.site} of {self.model}"


class _Shard(msgspec.Struct):
    file: str
    contexts: int
    rows: int
    bytes: int
    checksum: str


class _Activations(msgspec.Struct):
    model: str
    revision: Union[str, None]
    site: str
    dtype: str
    dataset: str
    dataset_key: str
    context_length: int
    contexts: int
    rows: int
    shards: list[_Shard]
    created_at: str


class _Tokens(msgspec.Struct):
    contexts: int
    context_length: int
    tokens: int
    checksum: str
    source: Union[str, None] = None


def list_caches(cache: Path) -> list[CacheEntry]:
    """Everything in the cache directory of a home, activations first, the last used first."""
    found = [
        entry
        for read in (_read_activations, _read_tokens)
        for directory in _directories(cache, ACTIVATIONS if read is _read_activations else TOKENS)
        if (entry := _if_there(read, directory)) is not None
    ]
    newest_first = sorted(found, key=lambda entry: entry.used_at, reverse=True)
    return sorted(newest_first, key=lambda entry: entry.kind)


def find_caches(cache: Path, names: Sequence[str]) -> list[CacheEntry]:
    """The entries that keys, or unique beginnings of keys, mean.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: the beginning means several.
    """
    entries = list_caches(cache)
    found = []
    for name in names:
        meant = [entry for entry in entries if name and entry.key.startswith(name)]
        if not meant:
            raise NotFound(f"Nothing in the cache is named {name!r}.", "See `saetui cache list`.")
        if len(meant) > 1:
            raise InvalidInput(f"{name!r} means {len(meant)} entries of the cache.", "Write more of the key.")
        found.append(meant[0])
    return found


def verify_cache(entry: CacheEntry, progress: Callable[[str], None] | None = None) -> list[str]:
    """Reads an entry whole; what is wrong with it, a sentence each, none when it is sound."""
    directory = Path(entry.directory)
    if entry.kind == TOKENS:
        tokens = _decoded(directory, _Tokens)
        if tokens is None:
            return [_no_manifest(directory)]
        wrong = _wrong_file(directory / "tokens.bin", tokens.checksum, hashlib.blake2b(digest_size=16), None)
        return [wrong] if wrong else []
    manifest = _decoded(directory, _Activations)
    if manifest is None:
        return [_no_manifest(directory)]
    shards, problems = manifest.shards, []
    for number, shard in enumerate(shards, start=1):
        # A name alone: a path from inside a file is not followed.
        wrong = _wrong_file(directory / Path(shard.file).name, shard.checksum, hashlib.sha256(), shard.bytes)
        problems += [wrong] if wrong else []
        if progress is not None:
            progress(f"{entry.key[:8]}: {number} of {len(shards)} files read")
    return problems


def delete_cache(entry: CacheEntry) -> None:
    """Removes an entry, as one step for whoever looks.

    Raises:
        Conflict: a job or a build is using it.
        OSError: it cannot be removed.
    """
    directory = Path(entry.directory)
    with _exclusive(directory) as held:
        if not held:
            raise Conflict(
                f"{entry.key[:8]} ({entry.what}) is in use.", "Stop the jobs that use it, or wait for their end."
            )
        gone = directory.with_name(f".{directory.name}.deleted")
        if os.path.lexists(gone):
            remove_tree(gone)
        directory.rename(gone)
        remove_tree(gone)


def delete_leftovers(cache: Path) -> int:
    """Removes what killed processes left: text half tokenised, entries half deleted. Nobody else would.

    Returns:
        The bytes that it took.

    Raises:
        OSError: it cannot be removed.
    """
    total = 0
    for kind in (ACTIVATIONS, TOKENS):
        for left in list((cache / kind).glob(".*.*")):
            named = _HIDDEN.fullmatch(left.name)
            if named is None or left.is_symlink():
                continue
            # Whoever is at it holds the lock of the key.
            with _exclusive(left.with_name(named[1])) as held:
                if held and left.is_dir():
                    total += _bytes_in(left)
                    shutil.rmtree(left)
    return total


def _directories(cache: Path, kind: Kind) -> list[Path]:
    """Those of the entries of a kind; what begins with a dot is on its way in or out."""
    return [directory for directory in sorted((cache / kind).glob("[!.]*")) if _is_entry(directory)]


def _is_entry(path: Path) -> bool:
    """Whether it has the form of an entry: what else lies in the cache is the user's, and neither shown nor deleted."""
    return _KEY.fullmatch(path.name) is not None and path.is_dir()


def _if_there(read: Callable[[Path], CacheEntry], directory: Path) -> CacheEntry | None:
    try:
        return read(directory)
    except FileNotFoundError:
        return None  # deleted while it was looked at


def _read_activations(directory: Path) -> CacheEntry:
    found = _decoded(directory, _Activations)
    if found is None:
        return _unreadable(directory, ACTIVATIONS)
    done = sum(shard.contexts for shard in found.shards)
    return CacheEntry(
        key=directory.name,
        kind=ACTIVATIONS,
        directory=str(directory),
        bytes=_bytes_in(directory),
        used_at=_used_at(directory),
        model=found.model,
        revision=found.revision,
        site=found.site,
        dtype=found.dtype,
        dataset=found.dataset,
        dataset_key=found.dataset_key,
        context_length=found.context_length,
        tokens=found.rows,
        done=done / found.contexts if found.contexts else 1.0,
        complete=done == found.contexts,
        created_at=found.created_at,
    )


def _read_tokens(directory: Path) -> CacheEntry:
    found = _decoded(directory, _Tokens)
    if found is None:
        return _unreadable(directory, TOKENS)
    return CacheEntry(
        key=directory.name,
        kind=TOKENS,
        directory=str(directory),
        bytes=_bytes_in(directory),
        used_at=_used_at(directory),
        dataset=found.source,
        dataset_key=directory.name,
        context_length=found.context_length,
        tokens=found.tokens,
        done=1.0,
        complete=True,
    )


def _unreadable(directory: Path, kind: Kind) -> CacheEntry:
    return CacheEntry(
        key=directory.name,
        kind=kind,
        directory=str(directory),
        bytes=_bytes_in(directory),
        used_at=_used_at(directory),
        readable=False,
    )


_Manifest = TypeVar("_Manifest", _Activations, _Tokens)


def _decoded(directory: Path, kind: type[_Manifest]) -> _Manifest | None:
    """The manifest of an entry; None where there is none that can be understood and is what was written."""
    try:
        fields = msgspec.json.decode(read_regular(directory / _MANIFEST, _MANIFEST_LIMIT), type=dict[str, Any])
        if fields.pop("digest", None) != fields_digest(fields):
            return None
        return msgspec.convert(fields, kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _bytes_in(directory: Path) -> int:
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # a part that its writer has just renamed
    return total


def _used_at(directory: Path) -> str:
    return datetime.fromtimestamp(directory.stat().st_mtime, timezone.utc).isoformat(timespec="seconds")


@contextmanager
def _exclusive(directory: Path) -> Iterator[bool]:
    """Whether nobody else reads or writes an entry, as long as the context lasts."""
    locks = directory.parent / _LOCKS
    locks.mkdir(mode=0o700, exist_ok=True)
    with open_private(locks / directory.name) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _no_manifest(directory: Path) -> str:
    return f"{directory / _MANIFEST} is missing or damaged: what the entry holds cannot be told."


def _wrong_file(path: Path, checksum: str, digest: _Digest, size: int | None) -> str | None:
    try:
        if size is not None and path.stat().st_size != size:
            return f"{path} has {path.stat().st_size} bytes, not {size}."
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}."
    return None if digest.hexdigest() == checksum else f"{path} is damaged: its checksum is not the one written down."
