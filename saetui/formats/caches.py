"""How the caches of tokens and activations lie on disk: directories, manifests, checksums and locks.

    tokens/<key>/manifest.json           what the entry holds, with a digest of itself
    tokens/<key>/tokens.bin              the contexts, one after the other, then the number of rows that each of them gives
    activations/<key>/manifest.json      what the entry holds, how far it is, and a digest of itself
    activations/<key>/00000.safetensors  a shard: rows (n, d) of some contexts, with the number and a checksum for each context
    tokens/locks/<key>                   held shared by readers, exclusively by the one process that writes or deletes

The trainer writes and reads entries with torch (saetui.activations); clients list, verify and delete them without
(saetui.catalog). Contexts of activations lie in the order of the first epoch under `order_seed`, so that a training can write
them as it reads them. The rows of one context lie together: any context can be read alone, and entries of several sites pair
up row by row whatever the order of each.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from saetui.formats.durable import open_private
from saetui.formats.regular import read_regular

if TYPE_CHECKING:
    from hashlib import _Hash, blake2b

Kind = Literal["tokens", "activations"]

TOKENS: Final = "tokens"
ACTIVATIONS: Final = "activations"
TOKENS_FILE = "tokens.bin"
MANIFEST = "manifest.json"
TOKENS_VERSION = 4
ACTIVATIONS_VERSION = 1
SAFETENSORS_DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
"""What a safetensors header calls the dtypes of activations."""
_LOCKS = "locks"
_MANIFEST_LIMIT = 64 << 20
"""The most bytes of a manifest, which names every shard of its entry."""
_CHUNK = 2**20


class TokenManifest(msgspec.Struct, frozen=True):
    """What an entry of tokens holds.

    Attributes:
        contexts: the number of contexts.
        context_length: tokens in each.
        dtype: of a token: uint16 or uint32.
        documents: how many documents the text had.
        bad_rows: how many rows had no usable text.
        tokens: tokens of text, without separators and the tokens that begin contexts.
        largest_token: the largest token id.
        checksum: of the file of tokens.
        bad_row_reasons: why the first few bad rows had no usable text, with the files' names of that time.
        notes: sentences about how rows were read that are not plain text.
        source: the user's name for the text, for people. The key depends on the content alone.
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
    notes: tuple[str, ...] = msgspec.field(default=(), name="remarks")
    source: str | None = None
    version: int = TOKENS_VERSION


class Shard(msgspec.Struct, frozen=True):
    """A finished file of an entry of activations: `rows` rows of `contexts` contexts, `bytes` bytes."""

    file: str
    contexts: int
    rows: int
    bytes: int
    checksum: str


class ActivationManifest(msgspec.Struct, frozen=True):
    """What an entry of activations holds.

    Attributes:
        model: the reference that opened the model, for people. `fingerprint` decides.
        revision: of a Hub model.
        fingerprint: of the configuration and the weights up to the site's layer.
        site: the site's name.
        module: the module in the network whose `side` (input or output) the rows are.
        side: see `module`.
        width: d.
        dtype: of the rows and of the model.
        dataset: the user's name for the text, for people. `dataset_key` decides.
        dataset_key: the key of the tokens.
        context_length: tokens in a context.
        order_seed: contexts lie in the order of the first epoch under this seed.
        contexts: the contexts of a complete entry: all that are trained on.
        rows: the rows of a complete entry.
        contexts_per_shard: in all shards but the last.
        shards: the finished ones.
        created_at: ISO 8601, UTC.
        version: of this layout.
    """

    model: str
    revision: str | None
    fingerprint: str
    site: str
    module: str
    side: str
    width: int
    dtype: str
    dataset: str
    dataset_key: str
    context_length: int
    order_seed: int
    contexts: int
    rows: int
    contexts_per_shard: int
    shards: tuple[Shard, ...]
    created_at: str
    version: int = ACTIVATIONS_VERSION

    @property
    def done(self) -> int:
        """Contexts in the finished shards."""
        return sum(shard.contexts for shard in self.shards)

    @property
    def is_complete(self) -> bool:
        return self.done == self.contexts


Manifest = TypeVar("Manifest", TokenManifest, ActivationManifest)


def read_manifest(directory: Path, kind: type[Manifest]) -> Manifest | None:
    """The manifest of an entry, of any version. None where there is none, or it is damaged or not understood."""
    try:
        fields = json.loads(read_regular(directory / MANIFEST, _MANIFEST_LIMIT))
        if not isinstance(fields, dict) or fields.pop("digest", None) != fields_digest(fields):
            return None
        return msgspec.convert(fields, kind)
    except (OSError, ValueError, RecursionError, msgspec.ValidationError):
        return None


def manifest_json(manifest: TokenManifest | ActivationManifest) -> bytes:
    """The content of a manifest's file."""
    fields: dict[str, object] = msgspec.to_builtins(manifest)
    return json.dumps({**fields, "digest": fields_digest(fields)}, indent=1).encode()


def fields_digest(fields: Mapping[str, object]) -> str:
    """BLAKE2b (16 bytes) of a manifest's JSON fields, whatever their order and layout. One flipped bit changes it."""
    return hashlib.blake2b(json.dumps(fields, sort_keys=True).encode(), digest_size=16).hexdigest()


def new_hash(kind: Kind) -> _Hash | blake2b:
    """The hash for checksums of files: BLAKE2b (16 bytes) of tokens, sha256 of shards of activations."""
    return hashlib.blake2b(digest_size=16) if kind == TOKENS else hashlib.sha256()


def file_checksum(path: Path, kind: Kind) -> str:
    """The checksum of a file of an entry.

    Raises:
        OSError: the file cannot be read.
    """
    digest = new_hash(kind)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class EntryLock:
    """Keeps an entry from being written or deleted while others use it. The system releases the lock of a dead process.

    Args:
        directory: the entry's.
        exclusive: whether to exclude readers too.
        wait: whether to wait for the lock. Otherwise `held` is False where another process excludes this one.

    Raises:
        OSError: the cache directory cannot be written to.
    """

    def __init__(self, directory: Path, *, exclusive: bool, wait: bool = False) -> None:
        locks = directory.parent / _LOCKS
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = open_private(locks / directory.name)
        self.held = True
        try:
            fcntl.flock(self._file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.release()
        except BaseException:
            self._file.close()
            raise

    def release(self) -> None:
        self._file.close()
        self.held = False

    def __enter__(self) -> EntryLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
