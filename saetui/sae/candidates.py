"""The inputs that dead latents are resampled from: a share of each of the last batches before a resampling."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

ROWS = 8192
"""Candidates of one resampling. Bricken et al. take the losses of 819,200 inputs, for 4 to 131 thousand latents of which a few
hundred are dead; what is kept here is half of the memory of a decoder of 16,384 latents."""
BATCHES = 16
"""They come from so many batches: one holds few texts."""


class Candidates:
    """Gathers inputs over the steps before each resampling. Nothing here waits for the device, or draws a number.

    Rows of a batch are shuffled already, so its first rows are as good as any. Their losses are worked out by the resampling, all of
    them with the same weights.
    """

    def __init__(self, every: int) -> None:
        """None gathered yet.

        Args:
            every: steps from one resampling to the next.
        """
        self._every = every
        self._batches = min(BATCHES, every)
        self._x: list[Tensor] = []
        self._targets: list[Tensor] = []

    def offer(self, x: Tensor, target: Tensor | None, step: int) -> None:
        """Keeps a share of a batch where a resampling is near.

        Args:
            x: normalised inputs, shape (B, d_in).
            target: shape (B, d_out); None for x.
            step: finished steps, the batch's own included.
        """
        if -step % self._every >= self._batches:
            return
        share = ROWS // self._batches
        # A copy, because a slice would keep the whole batch in memory.
        self._x.append(x[:share].clone())
        if target is not None:
            self._targets.append(target[:share].clone())

    def take(self) -> tuple[Tensor, Tensor | None]:
        """What was gathered, x (n, d_in) and target (n, d_out) or None for x; the next resampling has candidates of its own."""
        x, target = _joined(self._x), _joined(self._targets) if self._targets else None
        self._x, self._targets = [], []
        return x, target

    def state(self) -> dict[str, Tensor]:
        """What was gathered so far, for a checkpoint."""
        parts = {"x": self._x, "target": self._targets}
        return {name: _joined(rows) for name, rows in parts.items() if rows}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Goes back to a state that `state` gave."""
        self._x = [state["x"]] if "x" in state else []
        self._targets = [state["target"]] if "target" in state else []


def _joined(rows: list[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(rows)
