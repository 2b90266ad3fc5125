"""The shuffling buffer: an endless stream of batches in which neighbours are not neighbours in the text.

The rule, which depends on the seed and on counters alone, so that any place in the stream can be found
again without what the buffer held:

- Block i is the activations of contexts [i·n, (i+1)·n) of the endless context order, special tokens and
  first positions left out: K_i rows, permuted by a generator seeded with (seed, i).
- Its first ⌊K_i/2⌋ rows go to window i, the others wait for window i + 1.
- Window i is what waited from block i − 1 and the first half of block i, permuted by (seed, i).
- Batches are cut from the windows one after the other; a batch may reach over the end of one.

So each window mixes rows of 2n contexts, and each context is spread over two windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.next_window import NextWindow
from saetui.activations.order import ContextOrder, generator
from saetui.activations.rows import ContextIndices, ModelRows, RowReader
from saetui.activations.tokens import TokenDataset
from saetui.errors import InvalidInput

__all__ = ["BatchStream", "buffer_bytes"]

_BLOCK_ORDER, _WINDOW_ORDER = 2, 3


def buffer_bytes(
    contexts_per_block: int, context_length: int, widths: Sequence[int], itemsize: int, *, background: bool = False
) -> int:
    """The most bytes that a stream holds between two calls: a window of up to one and a half blocks' rows.

    A window has at most a whole block's rows (two halves), and half a block waits: 1.5 · contexts ·
    context_length · Σ widths · itemsize; a window more when the next one is filled in the background. During
    a refill one micro-batch of activations comes on top, and at each call the batch that is handed out.
    """
    rows = contexts_per_block * context_length
    return (rows * (2 if background else 1) + (rows + 1) // 2) * sum(widths) * itemsize


class BatchStream:
    """Batches of activations of all sites, well mixed, without end.

    Args:
        source: what to read: a model (an extractor), or a cache.
        dataset: the tokens; the contexts of its `train` are used.
        batch_size: rows (tokens) in a batch.
        seed: what the order depends on.
        contexts_per_block: contexts of which a block consists; the more, the better mixed.
        micro_batch: contexts in a forward pass. Part of the rule: another one rounds differently.
        dtype: of the rows kept and handed out; the model's by default.
        device: where they are kept and handed out; the model's by default.
        background: fill the next window in a thread of its own while this one is handed out. Changes nothing in
            the rows; worth its memory where reading and training do not compete for the same cores.

    Raises:
        ModelError: the model cannot read the dataset's contexts.
    """

    def __init__(
        self,
        source: ActivationExtractor | RowReader,
        dataset: TokenDataset,
        *,
        batch_size: int,
        seed: int,
        contexts_per_block: int = 256,
        micro_batch: int = 16,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        background: bool = False,
    ) -> None:
        if min(batch_size, contexts_per_block, micro_batch) < 1 or seed < 0:
            raise InvalidInput(
                f"A buffer with batch_size {batch_size}, contexts_per_block {contexts_per_block}, "
                f"micro_batch {micro_batch} and seed {seed} cannot be.",
                "The sizes are at least 1, and the seed at least 0.",
            )
        if dataset.train_tokens == 0:
            raise InvalidInput("The dataset consists of special tokens alone.", "Choose another dataset.")
        self._source: RowReader = ModelRows(source, dataset) if isinstance(source, ActivationExtractor) else source
        self._dataset = dataset
        self._order = ContextOrder(dataset.train, seed)
        self._batch_size, self._seed = batch_size, seed
        self._contexts, self._micro_batch = contexts_per_block, micro_batch
        self._device = self._source.device if device is None else device
        self._dtype = self._source.dtype if dtype is None else dtype
        rows = contexts_per_block * dataset.context_length
        self._window = self._storage(rows)
        self._waiting = self._storage((rows + 1) // 2)
        self._num_waiting = 0
        self._num_rows = 0
        self._index = -1
        self._offset = 0
        self._rows_served = 0
        self._next = NextWindow(self._storage(rows), self._device) if background else None

    @property
    def source(self) -> RowReader:
        """Where the rows come from."""
        return self._source

    @property
    def tokens(self) -> int:
        """Rows handed out since the start of the stream."""
        return self._rows_served

    @property
    def epoch(self) -> float:
        """Passes over the training text so far, as a fraction."""
        return self._rows_served / self._dataset.train_tokens

    @property
    def nbytes(self) -> int:
        """Bytes of activations held, whether filled or not; `buffer_bytes` foretells them."""
        stores = [self._window, self._waiting, *([self._next.window] if self._next is not None else [])]
        return sum(rows.nbytes for store in stores for rows in store.values())

    def next(self) -> dict[str, Tensor]:
        """The next batch: for each site's name a tensor (batch_size, d) of its own; rows belong together."""
        batch = self._storage(self._batch_size)
        filled = 0
        while filled < self._batch_size:
            if self._offset == self._num_rows:
                self._turn_to(self._index + 1)
            count = min(self._batch_size - filled, self._num_rows - self._offset)
            for name, rows in batch.items():
                rows[filled : filled + count] = self._window[name][self._offset : self._offset + count]
            filled += count
            self._offset += count
        self._rows_served += filled
        return batch

    def state(self) -> dict[str, int]:
        """Where the stream is, after the last batch handed out; JSON."""
        return {"window": self._index, "offset": self._offset, "rows": self._rows_served, **self._rule()}

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes to where a stream was, at the cost of two blocks of forward passes.

        Raises:
            InvalidInput: it was a stream by another rule or over other text, or of a saetui that gave other tokens.
        """
        if "train_tokens" not in state:
            raise InvalidInput(
                "The stream to go on with is of an older saetui, which also trained on the first position of contexts and on "
                "control tokens.",
                "Finish the run with the saetui that it was started with, or start it anew.",
            )
        for name, value in self._rule().items():
            if state.get(name) != value:
                raise InvalidInput(
                    f"The stream to go on with had {name} {state.get(name)}, this one has {value}.",
                    "Resume with the settings that the run was started with.",
                )
        window = state["window"]
        if self._next is not None:
            self._next.forget()
        self._index, self._num_rows, self._num_waiting = -1, 0, 0
        if window > 0:
            self._fill(window - 1, None)
        if window >= 0:
            self._index, self._num_rows = window, self._fill(window, self._window)
            self._begin_next()
        self._offset, self._rows_served = state["offset"], state["rows"]

    def _turn_to(self, index: int) -> None:
        """Makes window `index` the one that batches are cut from, and begins with the one behind it."""
        if self._next is None:
            self._num_rows = self._fill(index, self._window)
        elif self._next.is_begun:
            self._num_rows = self._next.finish()
            self._window, self._next.window = self._next.window, self._window
        else:
            self._num_rows = self._fill(index, self._window)
        self._index, self._offset = index, 0
        self._begin_next()

    def _begin_next(self) -> None:
        if self._next is not None:
            index, window = self._index + 1, self._next.window
            self._next.begin(lambda: self._fill(index, window))

    def _rule(self) -> dict[str, int]:
        """What the rows depend on besides the model: the same rule gives the same stream."""
        return {
            "seed": self._seed,
            "contexts_per_block": self._contexts,
            "micro_batch": self._micro_batch,
            "contexts": len(self._dataset.train),
            "train_tokens": self._dataset.train_tokens,
            "context_length": self._dataset.context_length,
        }

    def _storage(self, rows: int) -> dict[str, Tensor]:
        widths = self._source.widths.items()
        return {name: torch.empty((rows, width), dtype=self._dtype, device=self._device) for name, width in widths}

    def _fill(self, index: int, window: dict[str, Tensor] | None) -> int:
        """Writes into `window` the waiting rows and the first half of block `index`; the other half waits then.

        Without a window its rows are left out: what remains is what waits for the next.

        Returns:
            The rows of the window.
        """
        contexts = self._order.at(range(index * self._contexts, (index + 1) * self._contexts))
        kept = self._dataset.kept[contexts]
        rows = int(kept.sum())
        half = rows // 2
        place = generator(self._seed, _BLOCK_ORDER, index).permutation(rows)
        size = self._num_waiting + half
        slots = generator(self._seed, _WINDOW_ORDER, index).permutation(size)
        if window is not None:
            for name, waiting in self._waiting.items():
                window[name][self._slots(slots[: self._num_waiting])] = waiting[: self._num_waiting]
        first = slots[self._num_waiting :]
        done = 0
        for start in range(0, len(contexts), self._micro_batch):
            part = slice(start, start + self._micro_batch)
            count = int(kept[part].sum())
            self._scatter(contexts[part], place[done : done + count], half, first, window)
            done += count
        self._num_waiting = rows - half
        return size

    def _scatter(
        self,
        contexts: ContextIndices,
        place: npt.NDArray[np.int64],
        half: int,
        first: npt.NDArray[np.int64],
        window: dict[str, Tensor] | None,
    ) -> None:
        """Reads one micro-batch and writes its rows to their slots in the window or among the waiting."""
        to_window = place < half
        moves: list[tuple[dict[str, Tensor], Tensor, Tensor]] = [
            (self._waiting, self._slots(place[~to_window] - half), self._positions(~to_window))
        ]
        if window is not None:
            moves.append((window, self._slots(first[place[to_window]]), self._positions(to_window)))

        def write(name: str, rows: Tensor) -> None:
            for store, slots, positions in moves:
                store[name][slots] = rows[positions].to(device=self._device, dtype=self._dtype)

        self._source.read(contexts, write)

    def _slots(self, slots: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(slots).to(self._device)

    def _positions(self, chosen: npt.NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(np.flatnonzero(chosen)).to(self._source.device)
