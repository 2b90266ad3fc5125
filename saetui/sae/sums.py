"""Metrics as ratios of sums over a whole interval, gathered on the device and read out once."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.losses import Losses

# Names of the loss terms in the metric log.
_COLUMNS = {"recon": "recon_loss", "sparsity": "sparsity_loss", "aux": "aux_loss"}


class IntervalSums:
    """Everything that the metrics of an interval (a log interval, or a held-out set) are made of.

    fvu = Σ‖y − ŷ‖² / Σ‖y − ȳ‖² with ȳ the mean of each coordinate over the interval: a constant error is an error,
    and offsets between coordinates are not variance. The denominator is Σ‖y − s‖² − ‖Σ(y − s)‖²/n in float64, with s
    the first batch's mean: near ȳ, so that nothing cancels.
    """

    def __init__(self, latents: int, d_out: int, device: torch.device | str = "cpu") -> None:
        """An empty interval for SAEs of `latents` latents and targets of width `d_out`."""
        self._latents = latents
        self._device = torch.device(device)
        self._tokens = 0
        self._shift = torch.zeros(d_out, dtype=torch.float32, device=device)
        self._offset = torch.zeros(d_out, dtype=torch.float64, device=device)
        self._spread = torch.zeros((), dtype=torch.float64, device=device)
        self._error = torch.zeros((), dtype=torch.float64, device=device)
        self._l1 = torch.zeros((), dtype=torch.float64, device=device)
        self._fired = torch.zeros(latents, dtype=torch.int64, device=device)
        self._active = torch.zeros((), dtype=torch.int64, device=device)
        self._terms: dict[str, Tensor] = {}

    @property
    def tokens(self) -> int:
        """Tokens in the interval so far."""
        return self._tokens

    @property
    def densities(self) -> Tensor:
        """The share of the interval's tokens on which each latent fired, float64, shape (F,), on the device.

        Raises:
            InvalidInput: the interval has no tokens.
        """
        self._require_tokens()
        return self._fired.to(torch.float64) / self._tokens

    def add(self, target: Tensor, losses: Losses, errors: Tensor | None = None) -> None:
        """Takes in one batch; waits for nothing.

        Args:
            target: what was to be predicted (x itself, but for transcoders), shape (B, d_out), in units of all tokens alike.
            losses: what the SAE said of that batch.
            errors: ‖ŷ − y‖² of each token, shape (B,), where the SAE's own units are not those of the target
                (`Normalization.judged`).
        """
        statistics = losses.statistics
        with torch.no_grad():
            y = target.detach().to(torch.float32)
            if self._tokens == 0:
                self._shift.copy_(y.mean(0))
            shifted = y - self._shift
            self._offset += shifted.sum(0)
            self._spread += shifted.square_().sum(1).sum(dtype=torch.float64)
            self._error += (statistics.errors if errors is None else errors).sum(dtype=torch.float64)
            self._l1 += statistics.l1
            self._fired += statistics.fired
            self._active += statistics.active
            for name, term in losses.terms.items():
                total = self._terms.setdefault(name, torch.zeros((), dtype=torch.float64, device=self._device))
                total += term.detach().to(torch.float64) * statistics.tokens
        self._tokens += statistics.tokens

    def read(self) -> dict[str, float]:
        """The interval's metrics, under the metric log's names; and starts the next interval. Waits for the device.

        Returns:
            loss, recon_loss, sparsity_loss and aux_loss where the architecture has them, l0 (a count), l0_fraction,
            l1 where there is a penalty, fvu, r2. What does not exist is absent: fvu and r2 where the targets do not
            vary at all.

        Raises:
            InvalidInput: the interval has no tokens.
        """
        self._require_tokens()
        terms = {_COLUMNS.get(name, name): total / self._tokens for name, total in self._terms.items()}
        variation = self._spread - self._offset.square().sum() / self._tokens
        l0 = self._active.to(torch.float64) / self._tokens
        wanted = {
            "loss": torch.stack(list(terms.values())).sum(),
            **terms,
            "l0": l0,
            "l0_fraction": l0 / self._latents,
            "l1": self._l1 / self._tokens,
            "fvu": self._error / variation,
            "r2": 1.0 - self._error / variation,
            "variation": variation,
        }
        numbers = dict(zip(wanted, torch.stack(list(wanted.values())).tolist(), strict=True))
        if "sparsity" not in self._terms:
            del numbers["l1"]
        if numbers.pop("variation") <= 0.0:
            del numbers["fvu"], numbers["r2"]
        self.clear()
        return numbers

    def clear(self) -> None:
        """Starts a new interval."""
        self._tokens = 0
        self._terms.clear()
        for tensor in (self._offset, self._spread, self._error, self._l1, self._fired, self._active):
            tensor.zero_()

    def state(self) -> dict[str, Tensor]:
        """The running interval, as tensors, for a checkpoint that falls inside it."""
        held = {
            "shift": self._shift,
            "offset": self._offset,
            "spread": self._spread,
            "error": self._error,
            "l1": self._l1,
            "fired": self._fired,
            "active": self._active,
            **{f"term.{name}": total for name, total in self._terms.items()},
        }
        tokens = torch.tensor(self._tokens, dtype=torch.int64)
        return {"tokens": tokens, **{name: tensor.clone() for name, tensor in held.items()}}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Goes back to a state that `state` gave."""
        self._tokens = int(state["tokens"])
        for name, tensor in (
            ("shift", self._shift),
            ("offset", self._offset),
            ("spread", self._spread),
            ("error", self._error),
            ("l1", self._l1),
            ("fired", self._fired),
            ("active", self._active),
        ):
            tensor.copy_(state[name])
        self._terms = {
            name.removeprefix("term."): tensor.to(self._device).clone()
            for name, tensor in state.items()
            if name.startswith("term.")
        }

    def _require_tokens(self) -> None:
        if self._tokens == 0:
            raise InvalidInput("There is nothing to read: the interval has no tokens.", "Add a batch first.")
