"""Dead latents: those that have not fired on any of the last so many tokens. Never judged from one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.losses import BatchStatistics


@dataclass(frozen=True)
class DeadSet:
    """The dead latents at one moment.

    Attributes:
        indices: which, int64, ascending, on the SAE's device, shape (count,).
        count: how many; at least 1.
    """

    indices: Tensor
    count: int


class DeadLatents:
    """Counts, for each latent, the tokens since it last fired.

    `update` is for every step and waits for nothing; `refresh` reads the counters out, and is for log intervals. In
    between `current` stands still, so that the training does not depend on when somebody looks.
    """

    def __init__(self, latents: int, window: int, device: torch.device | str = "cpu") -> None:
        """All latents count as having just fired.

        Args:
            latents: F.
            window: tokens without firing after which a latent is dead.
            device: that of the SAE.

        Raises:
            InvalidInput: a window below 1.
        """
        if window < 1:
            raise InvalidInput(f"The dead-latent window is {window} tokens.", "It must be at least 1.")
        self.window = window
        self.tokens_since_fired = torch.zeros(latents, dtype=torch.int64, device=device)
        self._seen = torch.zeros(latents, dtype=torch.bool, device=device)
        self._current: DeadSet | None = None

    @property
    def current(self) -> DeadSet | None:
        """The dead latents as of the last `refresh`, or None where there were none."""
        return self._current

    @property
    def count(self) -> int:
        """How many were dead at the last `refresh`."""
        return 0 if self._current is None else self._current.count

    @property
    def mask(self) -> Tensor:
        """Which latents are dead at this moment, bool, shape (F,), on the device."""
        return self.tokens_since_fired >= self.window

    def update(self, statistics: BatchStatistics) -> None:
        """Takes in one step's firings."""
        self.tokens_since_fired.add_(statistics.tokens).masked_fill_(statistics.fired > 0, 0)

    def refresh(self) -> int:
        """Renews `current` from the counters and returns the number of dead latents. Waits for the device."""
        self._seen = self.mask
        self._set_current()
        return self.count

    def revive(self, indices: Tensor) -> None:
        """Counts the given latents as having just fired: they were resampled and get a whole window."""
        self.tokens_since_fired[indices] = 0
        self.refresh()

    def state(self) -> dict[str, Tensor]:
        """Everything, as tensors, for a checkpoint."""
        return {"tokens_since_fired": self.tokens_since_fired.clone(), "dead_at_refresh": self._seen.clone()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Goes back to a state that `state` gave."""
        self.tokens_since_fired.copy_(state["tokens_since_fired"])
        self._seen = state["dead_at_refresh"].to(self.tokens_since_fired.device).clone()
        self._set_current()

    def _set_current(self) -> None:
        indices = self._seen.nonzero().reshape(-1)
        self._current = DeadSet(indices, indices.shape[0]) if indices.shape[0] else None
