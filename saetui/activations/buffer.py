"""The shuffling buffer: an endless stream of batches in which neighbours are not neighbours in the text.

The rule depends on the seed and on counters alone, so that any place in the stream can be found again without the buffer's
content:

- Block i has the activations of contexts [i·n, (i+1)·n) of the endless context order without special tokens and first
  positions: K_i rows, permuted by a generator seeded with (seed, i).
- Its first ⌊K_i/2⌋ rows go to window i, the others wait for window i + 1.
- Window i has the waiting rows of block i − 1 and the first half of block i, permuted by (seed, i).
- Batches are cut from consecutive windows. A batch may reach over the end of one.

So each window mixes rows of 2n contexts, and each context is spread over two windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.order import ContextOrder, generator
from saetui.activations.rows import ContextIndices, ModelRows, RowReader
from saetui.activations.token_dataset import TokenDataset
from saetui.errors import InvalidInput

_BLOCK_ORDER, _WINDOW_ORDER = 2, 3


def buffer_bytes(
    contexts_per_block: int, context_length: int, widths: Sequence[int], itemsize: int, *, background: bool = False
) -> int:
    """The bytes that a stream holds between two calls: 1.5 · contexts · context_length · Σ widths · itemsize.

    A window has at most a whole block's rows (two halves), and half a block waits. Filling the next window in the background
    takes a window more. During a refill one micro-batch of activations is added, and during each call the returned batch.
    """
    rows = contexts_per_block * context_length
    return (rows * (2 if background else 1) + (rows + 1) // 2) * sum(widths) * itemsize


class BatchStream:
    """Shuffled batches of activations of all sites, without end.

    Args:
        source: a model (an extractor), or a cache.
        dataset: the tokens. The contexts of its `train` are used.
        batch_size: rows (tokens) in a batch.
        seed: decides the order.
        contexts_per_block: contexts of a block. More of them mix better.
        micro_batch: contexts in a forward pass. Part of the rule: another number rounds differently.
        dtype: of the rows in the buffer and the batches; the model's by default.
        device: of the rows in the buffer and the batches; the model's by default.
        background: whether a thread fills the next window while this one is used. The rows stay the same. It is worth its memory
            where reading and training do not compete for the same cores.

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
                f"micro_batch {micro_batch} and seed {seed} is not possible.",
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
        self._next = _NextWindow(self._storage(rows), self._device) if background else None

    @property
    def source(self) -> RowReader:
        """Where the rows come from."""
        return self._source

    @property
    def tokens(self) -> int:
        """Rows returned since the start of the stream."""
        return self._rows_served

    @property
    def epoch(self) -> float:
        """Passes over the training text so far, as a fraction."""
        return self._rows_served / self._dataset.train_tokens

    @property
    def nbytes(self) -> int:
        """Bytes that the buffer holds, filled or not. `buffer_bytes` estimates them."""
        stores = [self._window, self._waiting, *([self._next.window] if self._next is not None else [])]
        return sum(rows.nbytes for store in stores for rows in store.values())

    def next(self) -> dict[str, Tensor]:
        """The next batch: a tensor (batch_size, d) for each site's name. Row j is the same token at all sites."""
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
        """The place in the stream after the last batch, for JSON."""
        return {"window": self._index, "offset": self._offset, "rows": self._rows_served, **self._rule()}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go to the place of an earlier stream, at the cost of two blocks of forward passes.

        Raises:
            InvalidInput: the earlier stream had another rule, another text, or the tokens of an older saetui.
        """
        if "train_tokens" not in state:
            raise InvalidInput(
                "The run was started by an older saetui, which also trained on the first position of contexts and on control tokens.",
                "Finish it with that saetui, or start it again.",
            )
        for name, value in self._rule().items():
            if state.get(name) != value:
                raise InvalidInput(
                    f"The run was started with {name} {state.get(name)}, and has {value} now.",
                    "Resume it with the settings that it was started with.",
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
        """Take batches from window `index`, and begin with the next one."""
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
        """Everything that the rows depend on besides the model."""
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
        """Write the waiting rows and the first half of block `index` into `window`. The other half waits for the next one.

        Without a window only the other half is kept.

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
        """Read one micro-batch and write its rows to their slots in the window or among the waiting rows."""
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


class _NextWindow:
    """The window that a thread fills in the background, one at a time."""

    def __init__(self, window: dict[str, Tensor], device: torch.device) -> None:
        self.window = window
        self._pool = ThreadPoolExecutor(1, "buffer")
        self._filling: Future[tuple[int, torch.cuda.Event | None]] | None = None
        cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if cuda else None  # type: ignore[no-untyped-call]  # torch's own

    @property
    def is_begun(self) -> bool:
        return self._filling is not None

    def begin(self, fill: Callable[[], int]) -> None:
        """Start to fill the window. On a GPU the work runs beside the caller's, after what the caller has queued so far."""
        if self._stream is None:
            self._filling = self._pool.submit(lambda: (fill(), None))
            return
        side, before = self._stream, torch.cuda.current_stream().record_event()

        def work() -> tuple[int, torch.cuda.Event | None]:
            with torch.cuda.stream(side):
                side.wait_event(before)
                rows = fill()
                return rows, side.record_event()

        self._filling = self._pool.submit(work)

    def finish(self) -> int:
        """Wait until the window is full, and return its number of rows.

        Raises:
            SaetuiError: the activations cannot be read.
        """
        assert self._filling is not None
        # Forgotten only after the wait: a signal may interrupt the wait, and the thread is still filling then.
        rows, done = self._filling.result()
        self._filling = None
        if done is not None:
            torch.cuda.current_stream().wait_event(done)
        return rows

    def forget(self) -> None:
        """Wait for the thread, and discard its window."""
        if self._filling is not None:
            wait([self._filling])
            self._filling = None
            if self._stream is not None:
                torch.cuda.current_stream().wait_stream(self._stream)
