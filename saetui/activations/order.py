"""The order in which contexts are read: a new permutation in every epoch, without any state."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def generator(seed: int, *counters: int) -> np.random.Generator:
    """A random generator that depends on its arguments alone (non-negative integers)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *counters])))


class ContextOrder:
    """The infinite sequence of contexts: position p is context `perm(seed, p // n)[p % n]`.

    Any part of it can be computed at any time, so that a resumed run reads the same contexts as an uninterrupted one.

    Args:
        contexts: the n indices to permute.
        seed: decides the permutations.
    """

    _PURPOSE = 1

    def __init__(self, contexts: npt.NDArray[np.int64], seed: int) -> None:
        if len(contexts) == 0:
            raise ValueError("there is no context to order")
        self._contexts = contexts
        self._seed = seed
        self._epoch = -1
        self._permuted = contexts

    def at(self, positions: range) -> npt.NDArray[np.int64]:
        """The context indices at these positions of the sequence."""
        n = len(self._contexts)
        parts = []
        position = positions.start
        while position < positions.stop:
            epoch, first = divmod(position, n)
            last = min(n, first + positions.stop - position)
            parts.append(self._permutation(epoch)[first:last])
            position += last - first
        return np.concatenate(parts) if parts else self._contexts[:0]

    def _permutation(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch != self._epoch:
            shuffle = generator(self._seed, self._PURPOSE, epoch)
            self._permuted, self._epoch = shuffle.permutation(self._contexts), epoch
        return self._permuted
