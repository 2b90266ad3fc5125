"""Writes the rows that a model gives into the activation cache, as they are read or for their own sake."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saetui.activations.cache_layout import (
    ActivationEntry,
    ActivationManifest,
    EntryLock,
    Shard,
    shard_header,
    stored_order,
)
from saetui.activations.rows import ContextIndices, RowReader, RowSink
from saetui.activations.tokens import TokenDataset
from saetui.errors import ModelError
from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, open_private

__all__ = ["EntryWriter", "RecordingRows", "fill_entries"]

_MICRO_BATCH = 16

_UNFINISHED = re.compile(r"\.(manifest\.[a-z0-9_.]+|\d{5,}\.safetensors)")
"""What a manifest and a shard are called before they have their names; nothing else is ever swept."""


class EntryWriter:
    """Goes on with an entry where it stopped, or begins it; shards appear whole or not at all.

    Hold the entry's exclusive lock (`EntryWriter.open` does) from the beginning to the end.

    Args:
        entry: where.
        manifest: what is to be there: that of the partial entry, or an empty one.
        dataset: the tokens.
        lock: the exclusive one.

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
        self._part: _Part | None = None
        entry.directory.mkdir(mode=0o700, exist_ok=True)
        for stale in list(entry.directory.glob(".*")):
            if _UNFINISHED.fullmatch(stale.name) and not stale.is_dir():
                stale.unlink()
        if not manifest.shards:
            entry.write_manifest(manifest)

    @classmethod
    def open(cls, entry: ActivationEntry, fresh: ActivationManifest, dataset: TokenDataset) -> EntryWriter | None:
        """A writer for what is missing; None where nothing is, or where another process is at it.

        What follows a shard whose file is gone or cut short is missing too.

        Args:
            entry: where.
            fresh: the manifest to begin with, where there is no entry yet.
            dataset: the tokens.

        Raises:
            HomeError: the cache directory cannot be written to.
            OSError: the disk is full.
        """
        lock = EntryLock(entry, exclusive=True)
        if not lock.held:
            return None
        try:
            found = entry.read_manifest()
            if found is None and entry.directory.exists():
                # Nothing that this version could ever read: what a crash, damage or another version left.
                shutil.rmtree(entry.directory)
            damaged = None if found is None else entry.first_damaged(found)
            if found is not None and damaged is not None:
                found = replace(found, shards=found.shards[:damaged])
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
        """The place in the stored order up to which contexts have been written."""
        return self._position

    @property
    def is_complete(self) -> bool:
        return self._position == self.manifest.contexts

    def next_contexts(self, count: int) -> ContextIndices:
        """The contexts to be written next, at most so many."""
        return self._order[self._position : self._position + count]

    def missing_before(self, contexts: ContextIndices) -> int:
        """How many contexts lie between what was written and these; 0 or less where they are not ahead."""
        place = self._place_of(contexts)
        return 0 if place is None else place - self._position

    def take(self, contexts: ContextIndices, rows: Tensor) -> None:
        """Writes those of some contexts that are the next ones, if any are.

        Args:
            contexts: as they were read.
            rows: of all of them, (n, d).

        Raises:
            ModelError: some of them are not finite.
            OSError: the disk is full; what was finished stays.
        """
        place = self._place_of(contexts)
        if place is None or not 0 <= self._position - place < len(contexts):
            return
        ends = np.concatenate([[0], self._counts[self._place[contexts]].cumsum()])
        last = min(len(contexts), len(self._order) - place)
        first = self._position - place
        self._write(rows[int(ends[first]) : int(ends[last])], last - first)

    def _place_of(self, contexts: ContextIndices) -> int | None:
        """Where these contexts lie in the stored order, if they follow each other there as they do here."""
        place = int(self._place[contexts[0]])
        stretch = contexts[: len(self._order) - place]
        return place if np.array_equal(self._order[place : place + len(stretch)], stretch) else None

    def _write(self, rows: Tensor, contexts: int) -> None:
        # The least and the greatest are quicker to find than to look at each, and NaN where one is.
        if rows.numel() and not torch.stack(rows.aminmax()).isfinite().all():
            raise ModelError(
                f"{self.manifest.model} gives activations at {self.site} in {self.manifest.dtype} that are not finite.",
                "Choose float32 or bfloat16 as the dtype; if that changes nothing, the weights are damaged.",
            )
        data = rows.detach().cpu().contiguous().view(torch.uint8).reshape(-1).numpy()
        row_bytes = rows.shape[-1] * rows.element_size()
        start = 0
        for _ in range(contexts):
            if self._part is None:
                end = min(self._position + self.manifest.contexts_per_shard, self.manifest.contexts)
                counts = [int(count) for count in self._counts[self._position : end]]
                path = self._entry.directory / f"{len(self.manifest.shards):05}.safetensors"
                self._part = _Part(path, self.manifest, counts)
            stop = start + int(self._counts[self._position]) * row_bytes
            self._part.add(data[start:stop])
            start = stop
            self._position += 1
            if self._part.is_full:
                self.manifest = self.manifest.with_shard(self._part.finish())
                self._entry.write_manifest(self.manifest)
                self._part = None

    def close(self) -> None:
        """Lets go of the entry; a shard that is not full is given up."""
        if self._part is not None:
            self._part.give_up()
            self._part = None
            self._position = self.manifest.done
        self._lock.release()


class _Part:
    """A shard that is being written, under a name that is swept away when its writer dies."""

    def __init__(self, path: Path, manifest: ActivationManifest, counts: Sequence[int]) -> None:
        self._path = path
        self._counts = counts
        self._checksums: list[int] = []
        self._header = shard_header(manifest, counts)
        self._out: BinaryIO = open_private(path.with_name(f".{path.name}"), "w+b")
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
        self._out.flush()
        self._out.seek(0)
        digest = hashlib.sha256()
        while chunk := self._out.read(2**20):
            digest.update(chunk)
        hit("shard.fsync")
        os.fsync(self._out.fileno())
        size = self._out.tell()
        self._out.close()
        hit("shard.rename")
        os.replace(self._path.with_name(f".{self._path.name}"), self._path)
        fsync_directory(self._path.parent, point="shard")
        return Shard(self._path.name, len(self._counts), sum(self._counts), size, digest.hexdigest())

    def give_up(self) -> None:
        # Closing writes what is still held back, which on a full disk fails once more; it is thrown away anyhow.
        with suppress(OSError):
            self._out.close()
        self._path.with_name(f".{self._path.name}").unlink(missing_ok=True)


class RecordingRows:
    """Rows from a reader, written into the cache as they pass for the first time.

    Contexts that are not the next ones of an entry pass unrecorded: those of other epochs, and those that a
    resumed training reads again. When the disk is full, recording ends and reading goes on.

    Args:
        source: what is read.
        writers: one for each site that is to be recorded, opened.
        finished: called once when all entries are complete, or with the reason why they will not be; returns
            the reader to go on with, or None to keep this one.
    """

    def __init__(
        self, source: RowReader, writers: Sequence[EntryWriter], finished: Callable[[OSError | None], RowReader | None]
    ) -> None:
        self._source = source
        self._writers = {writer.site: writer for writer in writers}
        self._finished = finished

    @property
    def widths(self) -> dict[str, int]:
        return self._source.widths

    @property
    def dtype(self) -> torch.dtype:
        return self._source.dtype

    @property
    def device(self) -> torch.device:
        return self._source.device

    def read(self, contexts: ContextIndices, sink: RowSink) -> None:
        if not self._writers:
            self._source.read(contexts, sink)
            return
        self._catch_up(contexts)
        passed: dict[str, Tensor] = {}

        def see(name: str, rows: Tensor) -> None:
            sink(name, rows)
            if name in self._writers:
                passed[name] = rows

        self._source.read(contexts, see)
        self._record(contexts, passed)

    def close(self) -> None:
        """Ends the recording; what is finished stays, and another process may go on with it."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _catch_up(self, contexts: ContextIndices) -> None:
        """Reads what lies between the last finished shard and where a resumed training starts, a shard at most."""
        for writer in list(self._writers.values()):
            while self._writers and 0 < writer.missing_before(contexts) <= writer.manifest.contexts_per_shard:
                missed = writer.next_contexts(min(_MICRO_BATCH, writer.missing_before(contexts)))
                rows: dict[str, Tensor] = {}
                self._source.read(missed, rows.__setitem__)
                self._record(missed, {writer.site: rows[writer.site]})

    def _record(self, contexts: ContextIndices, passed: dict[str, Tensor]) -> None:
        try:
            for name, rows in passed.items():
                self._writers[name].take(contexts, rows)
        except OSError as error:
            self._end(error)
            return
        if all(writer.is_complete for writer in self._writers.values()):
            self._end(None)

    def _end(self, error: OSError | None) -> None:
        self.close()
        self._source = self._finished(error) or self._source


def fill_entries(
    source: RowReader,
    writers: Sequence[EntryWriter],
    progress: Callable[[int, int], None] | None = None,
    micro_batch: int = _MICRO_BATCH,
) -> None:
    """Reads and writes until all entries are complete, one pass for those that stand at the same place.

    Args:
        source: gives the rows of all the writers' sites.
        writers: opened; they are closed in any case.
        progress: called with contexts done and contexts to be done.
        micro_batch: contexts to read at a time.

    Raises:
        ModelError: some rows are not finite; what was finished stays.
        OSError: the disk is full; what was finished stays.
    """
    try:
        total = sum(writer.manifest.contexts for writer in writers)
        while unfinished := [writer for writer in writers if not writer.is_complete]:
            leader = min(unfinished, key=lambda writer: writer.position)
            contexts = leader.next_contexts(micro_batch)
            rows: dict[str, Tensor] = {}
            source.read(contexts, rows.__setitem__)
            for writer in unfinished:
                writer.take(contexts, rows[writer.site])
            if progress is not None:
                progress(sum(writer.position for writer in writers), total)
    finally:
        for writer in writers:
            writer.close()
