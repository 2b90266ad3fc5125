"""Entries of the activation cache: one for each site of a model over a dataset. formats/caches.py has their layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.order import ContextOrder
from saetui.activations.rows import ContextIndices
from saetui.activations.sites import Site
from saetui.activations.token_dataset import TokenDataset
from saetui.errors import HomeError
from saetui.formats import caches
from saetui.formats.durable import write_durably

SHARD_BYTES = 64 * 2**20
"""About the size of a shard: what a killed writer loses, and what `verify` names as damaged."""
_STEP = 16
"""A shard has a multiple of this many contexts."""


@dataclass(frozen=True, eq=False)
class ActivationEntry:
    """The place of an entry, whether or not anything is there."""

    root: Path
    key: str

    @property
    def directory(self) -> Path:
        return self.root / self.key

    def lock(self, *, exclusive: bool) -> caches.EntryLock:
        """The entry's lock; see `EntryLock`.

        Raises:
            HomeError: the cache directory cannot be written to.
        """
        try:
            return caches.EntryLock(self.directory, exclusive=exclusive)
        except OSError as error:
            raise HomeError(
                f"Activations cannot be kept in {self.root}: {error.strerror or error}.",
                "Make the directory writable, or set SAETUI_HOME to another place.",
            ) from error

    def read_manifest(self) -> caches.ActivationManifest | None:
        """The manifest. None where there is none, or it is damaged or of another version."""
        manifest = caches.read_manifest(self.directory, caches.ActivationManifest)
        return manifest if manifest is not None and manifest.version == caches.ACTIVATIONS_VERSION else None

    def write_manifest(self, manifest: caches.ActivationManifest) -> None:
        """Replace the manifest as one step.

        Raises:
            OSError: the disk is full or not writable.
        """
        write_durably(self.directory / caches.MANIFEST, caches.manifest_json(manifest), point="entry")

    def first_damaged(self, manifest: caches.ActivationManifest) -> int | None:
        """The number of the first shard whose file is missing or has another length. The files are not read."""
        for number, shard in enumerate(manifest.shards):
            try:
                if (self.directory / shard.file).stat().st_size != shard.bytes:
                    return number
            except OSError:
                return number
        return None


def find_entry(root: Path, extractor: ActivationExtractor, site: Site, dataset: TokenDataset) -> ActivationEntry:
    """The place of a site's rows. It depends on the weights up to the site's layer (which are read), dtype and tokens.

    Args:
        root: the directory of all entries.
        extractor: reads the model.
        site: one of the extractor's sites.
        dataset: the tokens.
    """
    model = extractor.model
    facts = (
        caches.ACTIVATIONS_VERSION,
        model.fingerprint(site.layer),
        site.name,
        str(model.dtype),
        dataset.key,
        dataset.special_ids,
    )
    return ActivationEntry(root, hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest())


def cached_bytes(extractor: ActivationExtractor, dataset: TokenDataset) -> int:
    """The size on disk of the complete entries of all sites of an extractor, without headers."""
    return dataset.train_tokens * sum(extractor.widths.values()) * extractor.model.dtype.itemsize


def empty_manifest(
    extractor: ActivationExtractor, site: Site, dataset: TokenDataset, source: str, order_seed: int
) -> caches.ActivationManifest:
    """The manifest of an entry without shards; `source` is the user's name for the dataset."""
    model = extractor.model
    location = next(location for location in extractor.locations if location.site == site)
    context_bytes = dataset.context_length * location.d * model.dtype.itemsize
    return caches.ActivationManifest(
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


def stored_order(manifest: caches.ActivationManifest, dataset: TokenDataset) -> ContextIndices:
    """Which context lies at which place, (contexts,)."""
    return ContextOrder(dataset.train, manifest.order_seed).at(range(manifest.contexts))


def shard_header(manifest: caches.ActivationManifest, counts: Sequence[int]) -> bytes:
    """The first bytes of a shard in the safetensors format, for contexts with these numbers of rows.

    The header is known before the first row is, so rows can be written as they come, and a damaged header shows. Behind
    it lie the counts, a CRC-32 for each context, and the rows.
    """
    rows, contexts = sum(counts), len(counts)
    dtype: torch.dtype = getattr(torch, manifest.dtype)
    index, size = 8 * contexts, rows * manifest.width * dtype.itemsize
    header = {
        "__metadata__": {"site": manifest.site, "fingerprint": manifest.fingerprint, "dataset": manifest.dataset_key},
        "rows": {"dtype": "I64", "shape": [contexts], "data_offsets": [0, index]},
        "checksums": {"dtype": "I64", "shape": [contexts], "data_offsets": [index, 2 * index]},
        "activations": {
            "dtype": caches.SAFETENSORS_DTYPES[manifest.dtype],
            "shape": [rows, manifest.width],
            "data_offsets": [2 * index, 2 * index + size],
        },
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
