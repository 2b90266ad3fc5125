"""The figures of one batch: the named terms of its loss, and the counts for metrics and dead latents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saetui.sae.kernels.weights import Outcome


@dataclass(frozen=True)
class BatchStatistics:
    """Counts and sums over the tokens of one batch; detached, on the SAE's device, never read by the library itself.

    Attributes:
        tokens: how many tokens the batch has.
        errors: ‖x̂ − y‖² of each token, shape (B,).
        l1: Σ over tokens and latents of z·n (n: decoder norms, 1 with `decoder_norm: unit`), shape ().
        fired: on how many tokens each latent exceeded the firing threshold, int64, shape (F,).
        smallest_kept: the smallest activation that a selection over the batch kept (infinite where it kept none),
            shape (); None for architectures that select otherwise.
        not_zero: entries of z that are not 0, over tokens and latents, shape (); None where those are the firings.
    """

    tokens: int
    errors: Tensor
    l1: Tensor
    fired: Tensor
    smallest_kept: Tensor | None = None
    not_zero: Tensor | None = None

    @property
    def squared_error(self) -> Tensor:
        """Σ‖x̂ − y‖² over tokens, shape ()."""
        return self.errors.sum()

    @property
    def active(self) -> Tensor:
        """Active entries over all tokens and latents, however weak: tokens × L0, shape ()."""
        return self.fired.sum() if self.not_zero is None else self.not_zero


@dataclass(frozen=True)
class Losses:
    """The terms of a loss, each with its coefficient already in it, so that they add up to `total`.

    Attributes:
        terms: "recon" always; "sparsity" where the architecture has a penalty; "aux" where it has a means
            for dead latents (0 while nothing is dead). Each of shape ().
        statistics: the counts of the same batch.
    """

    terms: Mapping[str, Tensor]
    statistics: BatchStatistics

    @property
    def total(self) -> Tensor:
        """The sum of the terms, shape (): what is differentiated."""
        return torch.stack(list(self.terms.values())).sum()

    def detached(self) -> Losses:
        """The same values without their graph."""
        return Losses({name: term.detach() for name, term in self.terms.items()}, self.statistics)


def combine(parts: Iterable[Losses]) -> Losses:
    """The losses of a batch from those of its micro-batches: means weighted by tokens, sums added.

    Raises:
        ValueError: no parts at all.
    """
    first, *others = list(parts)
    if not others:
        return first
    everyone = (first, *others)
    tokens = sum(part.statistics.tokens for part in everyone)
    terms = {
        name: torch.stack([part.terms[name] * (part.statistics.tokens / tokens) for part in everyone]).sum()
        for name in first.terms
    }
    not_zero = [part.statistics.not_zero for part in everyone if part.statistics.not_zero is not None]
    smallest = [part.statistics.smallest_kept for part in everyone if part.statistics.smallest_kept is not None]
    statistics = BatchStatistics(
        tokens=tokens,
        errors=torch.cat([part.statistics.errors for part in everyone]),
        l1=torch.stack([part.statistics.l1 for part in everyone]).sum(),
        fired=torch.stack([part.statistics.fired for part in everyone]).sum(0),
        smallest_kept=torch.stack(smallest).min() if smallest else None,
        not_zero=torch.stack(not_zero).sum() if not_zero else None,
    )
    return Losses(terms, statistics)


def penalised(outcome: Outcome, sparsity_coefficient: float, aux: Sequence[Tensor] = ()) -> Losses:
    """The losses of an architecture with a sparsity penalty: recon, sparsity, and the sum of the auxiliary terms where there are any."""
    terms = {"recon": outcome.recon, "sparsity": sparsity_coefficient * outcome.penalty}
    if aux:
        terms["aux"] = torch.stack(list(aux)).sum()
    statistics = BatchStatistics(
        tokens=outcome.residual.shape[0],
        errors=outcome.residual.square().sum(1),
        l1=outcome.l1,
        fired=outcome.fired,
        not_zero=outcome.active,
    )
    return Losses(terms, statistics)
