"""Writes the rows of a site into an entry of the activation cache, shard by shard."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saetui.activations.cache_layout import ActivationEntry, shard_header, stored_order
from saetui.activations.rows import ContextIndices
from saetui.activations.token_dataset import TokenDataset
from saetui.errors import ModelError
from saetui.failpoints import hit
from saetui.formats.caches import ACTIVATIONS, ActivationManifest, EntryLock, Shard, file_checksum
from saetui.formats.durable import open_private, rename_durably

_UNFINISHED = re.compile(r"\.(manifest\.[a-z0-9_.]+|\d{5,}\.safetensors)")
"""The names of manifests and shards that are not finished. No other hidden file is ever removed."""


class EntryWriter:
    """Continues an entry where it stopped, or begins it. A shard appears whole or not at all.

    Hold the entry's exclusive lock from the beginning to the end, as `EntryWriter.open` does.

    Args:
        entry: where to write.
        manifest: that of the partial entry, or an empty one.
        dataset: the tokens.
        lock: the exclusive lock.

    Raises:
        OSError: the directory cannot be written to.
    """

    def __init__(
        self, entry: ActivationEntry, manifest: ActivationManifest, dataset: TokenDataset, lock: EntryLock
    ) -> None:
        self.manifest = manifest
        self._entry, self._lock = entry, lock
        self._order = stored_order(manifest, dataset)
        self._place = np.full(dataset.contexts, -1, np.int64)
        self._place[self._order] = np.arange(manifest.contexts)
        self._counts = dataset.kept[self._order]
        self._position = manifest.done
        self._shard: _UnfinishedShard | None = None
        entry.directory.mkdir(mode=0o700, exist_ok=True)
        for stale in list(entry.directory.glob(".*")):
            if _UNFINISHED.fullmatch(stale.name) and not stale.is_dir():
                stale.unlink()
        if not manifest.shards:
            entry.write_manifest(manifest)

    @classmethod
    def open(cls, entry: ActivationEntry, fresh: ActivationManifest, dataset: TokenDataset) -> EntryWriter | None:
        """A writer for the missing part. None where nothing is missing, or another process writes or reads the entry.

        Everything from the first shard on whose file is gone or cut short counts as missing.

        Args:
            entry: where to write.
            fresh: the manifest to begin with where there is no entry yet.
            dataset: the tokens.

        Raises:
            HomeError: the cache directory cannot be written to.
            OSError: the disk is full.
        """
        lock = entry.lock(exclusive=True)
        if not lock.held:
            return None
        try:
            found = entry.read_manifest()
            if found is None and entry.directory.exists():
                # A crash, damage or another version left an entry that this version can never read.
                shutil.rmtree(entry.directory)
            damaged = None if found is None else entry.first_damaged(found)
            if found is not None and damaged is not None:
                found = msgspec.structs.replace(found, shards=found.shards[:damaged])
                entry.write_manifest(found)
            if found is not None and found.is_complete:
                lock.release()
                return None
            return cls(entry, found or fresh, dataset, lock)
        except BaseException:
            lock.release()
            raise

    @property
    def site(self) -> str:
        return self.manifest.site

    @property
    def position(self) -> int:
        """The place in the stored order up to which contexts are written."""
        return self._position

    @property
    def is_complete(self) -> bool:
        return self._position == self.manifest.contexts

    def next_contexts(self, count: int) -> ContextIndices:
        """The contexts to write next, at most `count`."""
        return self._order[self._position : self._position + count]

    def missing_before(self, contexts: ContextIndices) -> int:
        """How many contexts lie between the written ones and these; 0 or less where these are not ahead."""
        place = self._place_of(contexts)
        return 0 if place is None else place - self._position

    def take(self, contexts: ContextIndices, rows: Tensor) -> None:
        """Write the next contexts of the entry, if they are among these.

        Args:
            contexts: in the order of reading.
            rows: the rows of all of them, (n, d).

        Raises:
            ModelError: some rows are not finite.
            OSError: the disk is full. Finished shards stay.
        """
        place = self._place_of(contexts)
        if place is None or not 0 <= self._position - place < len(contexts):
            return
        ends = np.concatenate([[0], self._counts[self._place[contexts]].cumsum()])
        last = min(len(contexts), len(self._order) - place)
        first = self._position - place
        self._write(rows[int(ends[first]) : int(ends[last])], last - first)

    def _place_of(self, contexts: ContextIndices) -> int | None:
        """Where these contexts lie in the stored order. None where they do not follow each other there as they do here."""
        place = int(self._place[contexts[0]])
        stretch = contexts[: len(self._order) - place]
        return place if np.array_equal(self._order[place : place + len(stretch)], stretch) else None

    def _write(self, rows: Tensor, contexts: int) -> None:
        # Minimum and maximum are faster than a test of each value, and NaN where a value is.
        if rows.numel() and not torch.stack(rows.aminmax()).isfinite().all():
            raise ModelError(
                f"{self.manifest.model} gives activations at {self.site} in {self.manifest.dtype} that are not finite.",
                "Choose float32 or bfloat16 as the dtype; if that changes nothing, the weights are damaged.",
            )
        data = rows.detach().cpu().contiguous().view(torch.uint8).reshape(-1).numpy()
        row_bytes = rows.shape[-1] * rows.element_size()
        start = 0
        for _ in range(contexts):
            if self._shard is None:
                end = min(self._position + self.manifest.contexts_per_shard, self.manifest.contexts)
                counts = [int(count) for count in self._counts[self._position : end]]
                path = self._entry.directory / f"{len(self.manifest.shards):05}.safetensors"
                self._shard = _UnfinishedShard(path, self.manifest, counts)
            stop = start + int(self._counts[self._position]) * row_bytes
            self._shard.add(data[start:stop])
            start = stop
            self._position += 1
            if self._shard.is_full:
                shards = (*self.manifest.shards, self._shard.finish())
                self.manifest = msgspec.structs.replace(self.manifest, shards=shards)
                self._entry.write_manifest(self.manifest)
                self._shard = None

    def close(self) -> None:
        """Release the entry. A shard that is not full is discarded."""
        if self._shard is not None:
            self._shard.discard()
            self._shard = None
            self._position = self.manifest.done
        self._lock.release()


class _UnfinishedShard:
    """A shard that is being written, under a hidden name that the next writer removes if this one dies."""

    def __init__(self, path: Path, manifest: ActivationManifest, counts: Sequence[int]) -> None:
        self._path, self._hidden = path, path.with_name(f".{path.name}")
        self._counts = counts
        self._checksums: list[int] = []
        self._header = shard_header(manifest, counts)
        self._out = open_private(self._hidden)
        self._out.write(self._header + np.array(counts, "<i8").tobytes() + bytes(8 * len(counts)))

    @property
    def is_full(self) -> bool:
        return len(self._checksums) == len(self._counts)

    def add(self, data: npt.NDArray[np.uint8]) -> None:
        self._checksums.append(zlib.crc32(data.data))
        hit("shard.write")
        self._out.write(data.data)

    def finish(self) -> Shard:
        self._out.seek(len(self._header) + 8 * len(self._counts))
        self._out.write(np.array(self._checksums, "<i8").tobytes())
        self._out.close()
        checksum, size = file_checksum(self._hidden, ACTIVATIONS), self._hidden.stat().st_size
        rename_durably(self._hidden, self._path, point="shard")
        return Shard(self._path.name, len(self._counts), sum(self._counts), size, checksum)

    def discard(self) -> None:
        # Closing writes the rest of the buffer, which fails again on a full disk and does not matter here.
        with suppress(OSError):
            self._out.close()
        self._hidden.unlink(missing_ok=True)
