"""Resampling of dead ReLU latents (Bricken et al. 2023, appendix "Neuron resampling")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saetui.errors import InvalidInput
from saetui.formats.step_sizes import CANDIDATE_BATCHES, CANDIDATE_ROWS
from saetui.sae.base import SparseAutoencoder
from saetui.sae.dead import DeadSet

# Of the mean norm of living encoder columns: small enough that a new latent does not disturb the others.
_ENCODER_SHARE = 0.2


class MomentReset(NamedTuple):
    """Slices of a parameter that were replaced, whose optimiser moments must start anew.

    Attributes:
        parameter: which.
        dim: the dimension that runs over latents.
        indices: the latents, shape (n,).
    """

    parameter: nn.Parameter
    dim: int
    indices: Tensor


def resample_dead(
    sae: SparseAutoencoder, dead: DeadSet | None, x: Tensor, generator: torch.Generator, target: Tensor | None = None
) -> list[MomentReset]:
    """Points each dead latent at an input of its own that is badly reconstructed; in place.

    Inputs are drawn without replacement, with probability in proportion to their squared loss (their ‖y − x̂‖² squared): two
    latents on one input would stay each other's copies. Where there are fewer inputs than dead latents the rest stay dead,
    until the next time. A latent's decoder
    row becomes that input's target, relative to b_dec, at unit norm; its encoder column the input's own direction at 0.2 × the mean
    norm of living columns; its bias 0 (`resampled_values` of the architecture). Afterwards call `reset_moments`, and `DeadLatents.revive`.

    Args:
        sae: a ReLU architecture.
        dead: the latents to resample; None does nothing.
        x: the inputs to draw from, normalised, shape (n, d_in).
        generator: on the CPU.
        target: shape (n, d_out); None for x.

    Returns:
        What was replaced; the first is W_dec's, with the latents that were resampled.

    Raises:
        InvalidInput: no inputs to draw from.
    """
    if dead is None:
        return []
    if x.shape[0] == 0:
        raise InvalidInput("There are no activations to resample dead latents from.", "Give at least one batch.")
    y = x if target is None else target
    with torch.no_grad():
        errors = (y - sae.reconstruct(x)).square().sum(1)
        drawn = _draw(errors.square(), dead.count, generator)
        taken = dead.indices[: drawn.shape[0]]
        sae.W_dec[taken] = _unit(y[drawn] - sae.b_dec)
        resets = [MomentReset(sae.W_dec, 0, taken)]
        living = _living(sae, dead)
        for name, value in sae.resampled_values(living, _ENCODER_SHARE).items():
            parameter = sae.get_parameter(name)
            parameter[taken] = value
            resets.append(MomentReset(parameter, 0, taken))
        if "W_enc" in dict(sae.named_parameters()):
            directions = _unit(x[drawn] - sae.b_dec if sae.centres_input else x[drawn])
            norm = sae.encoder_weight.norm(dim=0)[living].mean()
            sae.W_enc[:, taken] = (directions * (_ENCODER_SHARE * norm)).t()
            resets.append(MomentReset(sae.W_enc, 1, taken))
    return resets


def reset_moments(optimizer: torch.optim.Optimizer, resets: Sequence[MomentReset]) -> None:
    """Zeroes whatever the optimiser remembers of the replaced slices."""
    for parameter, dim, indices in resets:
        for moment in optimizer.state.get(parameter, {}).values():
            if isinstance(moment, Tensor) and moment.shape == parameter.shape:
                moment.index_fill_(dim, indices, 0.0)


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
        self._batches = min(CANDIDATE_BATCHES, every)
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
        share = CANDIDATE_ROWS // self._batches
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


def _draw(weights: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Indices of different inputs, no more than `most`; one that is explained without error only where all are."""
    probabilities = weights.to("cpu", torch.float64)
    if not bool(probabilities.sum() > 0):
        probabilities = torch.ones_like(probabilities)
    count = min(most, int((probabilities > 0).sum()))
    chosen = torch.multinomial(probabilities, count, replacement=False, generator=generator)
    return chosen.to(device=weights.device)


def _living(sae: SparseAutoencoder, dead: DeadSet) -> Tensor:
    living = torch.ones(sae.latents, dtype=torch.bool, device=dead.indices.device)
    if dead.count < sae.latents:
        living[dead.indices] = False
    return living


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def _joined(rows: list[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(rows)
