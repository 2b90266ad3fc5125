"""One step of an SAE's optimiser: forward, backward, clip, step, in as many micro-batches as the memory asks for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saetui.failpoints import hit
from saetui.sae import DeadSet, Losses, SparseAutoencoder, WholeBatch, combine
from saetui.training.out_of_memory import Chunks

Part = tuple[Tensor, Tensor | None]
"""A micro-batch: x, and its target where the target is not x."""


def gradient_step(
    sae: SparseAutoencoder,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    target: Tensor | None = None,
    *,
    micro_batch: Chunks,
    largest_norm: float,
    sparsity_coefficient: float = 0.0,
    dead: DeadSet | None = None,
) -> tuple[Losses, Tensor]:
    """One step on one batch, in smaller micro-batches where the memory is short. Waits for nothing.

    Args:
        sae: what is trained.
        optimizer: of its parameters.
        x: normalised activations, shape (B, d_in).
        target: shape (B, d_out); None for x itself.
        micro_batch: how many tokens are worked on at a time.
        largest_norm: a longer gradient is shortened to it; infinity for no limit.
        sparsity_coefficient: see `SparseAutoencoder.loss`.
        dead: see `SparseAutoencoder.loss`.

    Returns:
        The losses of the batch, detached; and the norm of its gradient before it was shortened, shape ().

    Raises:
        OutOfMemory: there is not enough memory for one token.
    """

    def forward_and_backward() -> Losses:
        hit("step.accumulate")
        return accumulate(
            sae, x, target, sparsity_coefficient=sparsity_coefficient, dead=dead, micro_batch=micro_batch.size
        )

    sae.zero_grad(set_to_none=True)
    losses = micro_batch.halving(x.shape[0], forward_and_backward, undo=sae.zero_grad)
    sae.before_step()
    norm = torch.nn.utils.clip_grad_norm_(sae.parameters(), largest_norm)
    optimizer.step()
    sae.after_step()
    return losses, norm


def accumulate(
    sae: SparseAutoencoder,
    x: Tensor,
    target: Tensor | None = None,
    *,
    sparsity_coefficient: float = 0.0,
    dead: DeadSet | None = None,
    micro_batch: int | None = None,
    fraction: float = 1.0,
) -> Losses:
    """Forward and backward: adds the gradient of the whole batch's loss to `.grad`, one micro-batch after the other.

    Args:
        sae: what is trained.
        x: normalised activations, shape (B, d_in).
        target: shape (B, d_out); None for x itself.
        sparsity_coefficient: see `SparseAutoencoder.loss`.
        dead: see `SparseAutoencoder.loss`.
        micro_batch: tokens at a time; None for all at once. It bounds the memory and changes nothing else.
        fraction: the share of the step's tokens that this batch has, where a step is made of several.

    Returns:
        The losses of the whole batch, detached. Nothing here waits for the device.
    """
    size = x.shape[0] if micro_batch is None else max(1, micro_batch)
    xs = torch.split(x, size)
    targets = [None] * len(xs) if target is None else torch.split(target, size)
    parts: list[Part] = list(zip(xs, targets, strict=True))
    whole = survey(sae, parts, dead) if len(parts) > 1 else None
    done: list[Losses] = []
    for part, goal in parts:
        losses = sae.loss(part, goal, sparsity_coefficient=sparsity_coefficient, dead=dead, whole_batch=whole)
        torch.autograd.backward(losses.total * (fraction * part.shape[0] / x.shape[0]))
        done.append(losses.detached())
    losses = combine(done)
    sae.observe(losses.statistics)
    return losses


@torch.no_grad()
def survey(sae: SparseAutoencoder, parts: Sequence[Part], dead: DeadSet | None) -> WholeBatch | None:
    """Passes over the whole batch for what the loss of a micro-batch must know of the others; None where that is nothing."""
    floor = sae.batch_floor([x for x, _ in parts])
    needs_residual = sae.needs_batch_residual(dead)
    if floor is None and not needs_residual:
        return None
    tokens = sum(x.shape[0] for x, _ in parts)
    whole = WholeBatch(floor=floor, tokens=tokens)
    if not needs_residual:
        return whole
    errors = [sae.loss(x, target, whole_batch=whole).statistics.squared_error for x, target in parts]
    return whole._replace(residual_mean_square=torch.stack(errors).sum() / (tokens * sae.d_out))
