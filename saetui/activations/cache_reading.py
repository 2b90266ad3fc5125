"""Rows from the activation cache, checked when they are first read."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from saetui.activations.cache_layout import ActivationEntry, shard_header, stored_order
from saetui.activations.rows import ContextIndices, RowSink
from saetui.activations.token_dataset import TokenDataset
from saetui.errors import FormatError
from saetui.formats.caches import ActivationManifest


class CachedRows:
    """Rows of complete entries: what the model gave, bit for bit, at the speed of the disk.

    Nothing is mapped or kept in memory: each read fetches the rows that it returns. The entries cannot be deleted meanwhile.

    Args:
        entries: one for each site.
        dataset: the tokens.
        device: where the rows are returned.

    Raises:
        FormatError: an entry is damaged or not complete.
    """

    def __init__(self, entries: Sequence[ActivationEntry], dataset: TokenDataset, device: torch.device) -> None:
        self._sites = [_Site(entry, _complete(entry), dataset) for entry in entries]
        self.device = device
        self.dtype: torch.dtype = self._sites[0].dtype
        self._locks = [entry.lock(exclusive=False) for entry in entries]
        for entry in entries:
            # The time of the last use: entries that were unused for longest are deleted first.
            os.utime(entry.directory)

    @property
    def widths(self) -> dict[str, int]:
        return {site.manifest.site: site.manifest.width for site in self._sites}

    def read(self, contexts: ContextIndices, sink: RowSink) -> None:
        """See `RowReader`.

        Raises:
            FormatError: an entry is damaged.
        """
        for site in self._sites:
            data = torch.from_numpy(site.read(contexts)).view(site.dtype)
            sink(site.manifest.site, data.reshape(-1, site.manifest.width).to(self.device))

    def close(self) -> None:
        """Release the entries."""
        for lock in self._locks:
            lock.release()


class _Site:
    """The shards of one entry."""

    def __init__(self, entry: ActivationEntry, manifest: ActivationManifest, dataset: TokenDataset) -> None:
        self.manifest = manifest
        self.dtype: torch.dtype = getattr(torch, manifest.dtype)
        self._entry = entry
        order = stored_order(manifest, dataset)
        self._place = np.full(dataset.contexts, -1, np.int64)
        self._place[order] = np.arange(len(order))
        self._counts = dataset.kept[order]
        self._sizes = self._counts * manifest.width * self.dtype.itemsize
        self._checked = np.zeros(len(order), bool)
        self._checksums = np.zeros(len(order), np.int64)
        self._starts = np.full(len(order), -1, np.int64)

    def read(self, contexts: ContextIndices) -> npt.NDArray[np.uint8]:
        """The bytes of the rows of some contexts, one after the other."""
        places = self._place[contexts]
        ends = np.concatenate([[0], self._sizes[places].cumsum()])
        data = np.empty(int(ends[-1]), np.uint8)
        # In the order of the places, so that neighbours on disk are read together.
        for index in np.argsort(places, kind="stable"):
            self._read_one(int(places[index]), data[int(ends[index]) : int(ends[index + 1])])
        return data

    def _read_one(self, place: int, into: npt.NDArray[np.uint8]) -> None:
        number, inside = divmod(place, self.manifest.contexts_per_shard)
        path = self._entry.directory / self.manifest.shards[number].file
        try:
            with path.open("rb", buffering=0) as file:
                if self._starts[place] < 0:
                    self._read_index(file.fileno(), number)
                got = os.preadv(file.fileno(), [into.data], int(self._starts[place]))
        except OSError as error:
            raise self._damaged(number, error.strerror or str(error)) from error
        if got != len(into):
            raise self._damaged(number, "it is cut short")
        if not self._checked[place]:
            if zlib.crc32(into.data) != self._checksums[place]:
                raise self._damaged(number, f"the rows of its context {inside} are not what was written")
            self._checked[place] = True

    def _read_index(self, descriptor: int, number: int) -> None:
        """Read where a shard's contexts lie, and their checksums."""
        first = number * self.manifest.contexts_per_shard
        last = first + self.manifest.shards[number].contexts
        counts = self._counts[first:last]
        expected = shard_header(self.manifest, [int(count) for count in counts]) + counts.astype("<i8").tobytes()
        index = os.pread(descriptor, len(expected) + 8 * len(counts), 0)
        if index[: len(expected)] != expected:
            raise self._damaged(number, "its beginning is not what was written")
        self._checksums[first:last] = np.frombuffer(index[len(expected) :], "<i8")
        sizes = self._sizes[first:last]
        self._starts[first:last] = len(index) + sizes.cumsum() - sizes

    def _damaged(self, number: int, what: str) -> FormatError:
        manifest = self.manifest
        return FormatError(
            f"The cached activations of {manifest.site} of {manifest.model} are damaged: "
            f"{self._entry.directory / manifest.shards[number].file}: {what}.",
            _delete(self._entry),
        )


def _complete(entry: ActivationEntry) -> ActivationManifest:
    manifest = entry.read_manifest()
    if manifest is None:
        raise FormatError(
            f"The manifest of the cached activations in {entry.directory} is missing or damaged.", _delete(entry)
        )
    if not manifest.is_complete:
        raise FormatError(
            f"The cached activations in {entry.directory} are not complete.", "Complete them (saetui cache build)."
        )
    damaged = entry.first_damaged(manifest)
    if damaged is not None:
        raise FormatError(
            f"The cached activations of {manifest.site} of {manifest.model} are damaged: "
            f"{entry.directory / manifest.shards[damaged].file} is missing or cut short.",
            f"Complete them (saetui cache build), or delete them (saetui cache delete {entry.key[:8]}).",
        )
    return manifest


def _delete(entry: ActivationEntry) -> str:
    return f"Delete them (saetui cache delete {entry.key[:8]}). Jobs then read the model, or make them again."
