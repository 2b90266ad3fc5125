"""Fills the activation cache: with the rows that a training reads anyway, or in a pass of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from saetui.activations.cache_writing import EntryWriter
from saetui.activations.rows import ContextIndices, RowReader, RowSink

_MICRO_BATCH = 16


class RecordingRows:
    """Rows from a reader, written into the cache when they pass for the first time.

    Contexts that are not the next ones of an entry are not recorded: those of other epochs, and those that a resumed
    training reads again. On a full disk recording ends and reading goes on.

    Args:
        source: the reader.
        writers: an open one for each site to record.
        finished: called once, when all entries are complete, or with the error that ends the recording. Returns the reader
            to go on with, or None to keep this one.
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
        """End the recording. Finished shards stay, and another process may continue."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _catch_up(self, contexts: ContextIndices) -> None:
        """Read the contexts between the last finished shard and the start of a resumed training, a shard at most."""
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
    """Read and write until all entries are complete, in one pass for entries that stand at the same place.

    Args:
        source: gives the rows of all the writers' sites.
        writers: open ones. They are closed in any case.
        progress: called with the number of contexts done and of all contexts.
        micro_batch: contexts to read at a time.

    Raises:
        ModelError: some rows are not finite. Finished shards stay.
        OSError: the disk is full. Finished shards stay.
    """
    try:
        total = sum(writer.manifest.contexts for writer in writers)
        while unfinished := [writer for writer in writers if not writer.is_complete]:
            first = min(unfinished, key=lambda writer: writer.position)
            contexts = first.next_contexts(micro_batch)
            rows: dict[str, Tensor] = {}
            source.read(contexts, rows.__setitem__)
            for writer in unfinished:
                writer.take(contexts, rows[writer.site])
            if progress is not None:
                progress(sum(writer.position for writer in writers), total)
    finally:
        for writer in writers:
            writer.close()
