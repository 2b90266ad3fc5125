"""The activation cache on disk: one entry for each site of a model over a dataset, in shards with a manifest.

    activations/<key>/manifest.json      what it holds, how far it is, a sha256 of each shard; a digest of itself
    activations/<key>/00000.safetensors  rows (n, d) of some contexts, how many each has, a checksum of each
    activations/locks/<key>              held shared by readers, exclusively by the one that writes or deletes

Contexts lie in the order of the first epoch under `order_seed`, so that a training can write them as it reads
them. Rows of one context lie together: any context can be read alone, in any order, and entries of several sites
pair up row by row whatever the order of each.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import torch

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.order import ContextOrder
from saetui.activations.rows import ContextIndices
from saetui.activations.sites import Site
from saetui.activations.tokens import TokenDataset
from saetui.errors import HomeError
from saetui.formats.digests import fields_digest
from saetui.formats.durable import open_private, write_durably

__all__ = [
    "ActivationEntry",
    "ActivationManifest",
    "EntryLock",
    "Shard",
    "cached_bytes",
    "empty_manifest",
    "find_entry",
    "shard_header",
    "stored_order",
]

VERSION = 1
DIRECTORY = "activations"
MANIFEST = "manifest.json"
SHARD_BYTES = 64 * 2**20
"""About the size of a shard: what is lost when a writer is killed, and what `verify` names as damaged."""
_STEP = 16
"""A shard has a multiple of so many contexts."""
_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


@dataclass(frozen=True)
class Shard:
    """A finished file of an entry. `rows` of `contexts` contexts; `checksum` is the sha256 of the whole file."""

    file: str
    contexts: int
    rows: int
    bytes: int
    checksum: str


@dataclass(frozen=True)
class ActivationManifest:
    """What an entry holds.

    Attributes:
        model: what the model was opened by, for people; `fingerprint` is what counts.
        revision: of a Hub model.
        fingerprint: of the configuration and the weights up to the site's layer.
        site: its name.
        module: the module in the network whose `side` (input or output) the rows are.
        side: see there.
        width: d.
        dtype: of the rows, which is that of the model.
        dataset: what the text was named, for people; `dataset_key` is what counts.
        dataset_key: of the tokens.
        context_length: tokens in a context.
        order_seed: contexts lie in the order of the first epoch under this seed.
        contexts: how many a complete entry has: all that are trained on.
        rows: how many it has then.
        contexts_per_shard: in all shards but the last.
        shards: those that are finished.
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
    version: int = VERSION

    @property
    def done(self) -> int:
        """Contexts in the finished shards."""
        return sum(shard.contexts for shard in self.shards)

    @property
    def is_complete(self) -> bool:
        return self.done == self.contexts

    def with_shard(self, shard: Shard) -> ActivationManifest:
        """The manifest once another shard is finished."""
        return replace(self, shards=(*self.shards, shard))


@dataclass(frozen=True, eq=False)
class ActivationEntry:
    """The place of an entry, with or without something in it."""

    root: Path
    key: str

    @property
    def directory(self) -> Path:
        return self.root / self.key

    def read_manifest(self) -> ActivationManifest | None:
        """What lies there; None where nothing does, or a manifest that is damaged or of another version."""
        try:
            fields: dict[str, Any] = json.loads((self.directory / MANIFEST).read_text(encoding="utf-8"))
            if fields.pop("digest") != fields_digest(fields):
                return None
            shards = tuple(Shard(**shard) for shard in fields.pop("shards"))
            manifest = ActivationManifest(**fields, shards=shards)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return manifest if manifest.version == VERSION else None

    def first_damaged(self, manifest: ActivationManifest) -> int | None:
        """The number of the first shard whose file is not there or not as long as it was; what is in it is not read."""
        for number, shard in enumerate(manifest.shards):
            try:
                if (self.directory / shard.file).stat().st_size != shard.bytes:
                    return number
            except OSError:
                return number
        return None

    def write_manifest(self, manifest: ActivationManifest) -> None:
        """Replaces the manifest as one step.

        Raises:
            OSError: the disk is full or not writable.
        """
        fields = asdict(manifest)
        content = json.dumps({**fields, "digest": fields_digest(fields)}, indent=1).encode()
        write_durably(self.directory / MANIFEST, content, point="entry")


class EntryLock:
    """Keeps an entry from being written or deleted while others use it; the system lets go when a process dies."""

    def __init__(self, entry: ActivationEntry, *, exclusive: bool) -> None:
        """Takes the lock, or leaves `held` False where another process has one that excludes it.

        Raises:
            HomeError: the cache directory cannot be written to.
        """
        locks = entry.root / "locks"
        try:
            locks.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file: BinaryIO = open_private(locks / entry.key)
        except OSError as error:
            raise HomeError(
                f"Activations cannot be kept in {entry.root}: {error.strerror or error}.",
                "Make the directory writable, or set SAETUI_HOME to another place.",
            ) from error
        try:
            fcntl.flock(self._file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            self.held = True
        except BlockingIOError:
            self.release()

    def release(self) -> None:
        """Lets go."""
        self._file.close()
        self.held = False

    def __enter__(self) -> EntryLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def find_entry(root: Path, extractor: ActivationExtractor, site: Site, dataset: TokenDataset) -> ActivationEntry:
    """The place of a site's rows: it depends on the weights up to its layer (which are read), dtype and tokens.

    Args:
        root: the directory of all entries.
        extractor: for the model.
        site: which of its sites.
        dataset: the tokens.
    """
    model = extractor.model
    facts = (VERSION, model.fingerprint(site.layer), site.name, str(model.dtype), dataset.key, dataset.special_ids)
    return ActivationEntry(root, hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest())


def cached_bytes(extractor: ActivationExtractor, dataset: TokenDataset) -> int:
    """What the complete entries of all sites of an extractor take on disk, headers apart."""
    return dataset.train_tokens * sum(extractor.widths.values()) * extractor.model.dtype.itemsize


def empty_manifest(
    extractor: ActivationExtractor, site: Site, dataset: TokenDataset, source: str, order_seed: int
) -> ActivationManifest:
    """The manifest of an entry with nothing in it yet; `source` is what the dataset was named."""
    model = extractor.model
    location = next(location for location in extractor.locations if location.site == site)
    context_bytes = dataset.context_length * location.d * model.dtype.itemsize
    return ActivationManifest(
        model=model.reference,
        revision=model.revision,
        fingerprint=model.fingerprint(site.layer),
        site=site.name,
        module=location.module_name,
        side=location.side,
        width=location.d,
        dtype=str(model.dtype).removeprefix("torch."),
        dataset=source,
        dataset_key=dataset.key,
        context_length=dataset.context_length,
        order_seed=order_seed,
        contexts=len(dataset.train),
        rows=dataset.train_tokens,
        contexts_per_shard=max(_STEP, min(256, SHARD_BYTES // context_bytes // _STEP * _STEP)),
        shards=(),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def stored_order(manifest: ActivationManifest, dataset: TokenDataset) -> ContextIndices:
    """Which context lies at which place, (contexts,)."""
    return ContextOrder(dataset.train, manifest.order_seed).at(range(manifest.contexts))


def shard_header(manifest: ActivationManifest, counts: Sequence[int]) -> bytes:
    """The first bytes of a shard in the safetensors format, for contexts with so many rows each.

    It is known before the first row is, so that rows can be written as they come; and a damaged one differs.
    Behind it lie the counts, a CRC-32 for each context, and the rows.
    """
    rows, contexts = sum(counts), len(counts)
    dtype: torch.dtype = getattr(torch, manifest.dtype)
    index, size = 8 * contexts, rows * manifest.width * dtype.itemsize
    header = {
        "__metadata__": {"site": manifest.site, "fingerprint": manifest.fingerprint, "dataset": manifest.dataset_key},
        "rows": {"dtype": "I64", "shape": [contexts], "data_offsets": [0, index]},
        "checksums": {"dtype": "I64", "shape": [contexts], "data_offsets": [index, 2 * index]},
        "activations": {
            "dtype": _DTYPES[dtype],
            "shape": [rows, manifest.width],
            "data_offsets": [2 * index, 2 * index + size],
        },
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
