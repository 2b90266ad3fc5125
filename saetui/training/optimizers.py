"""The optimisers in saetui's units, their state as flat tensors, and the schedules of learning rate and sparsity penalty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from saetui.sae import SparseAutoencoder
from saetui.spec.settings import Settings

SGD_MOMENTUM = 0.9
ADAM_EPS = 1e-8
"""In the papers' units, where the reconstruction error is a sum over d_out coordinates. Here it is their mean, so gradients are d_out
times smaller, and so is eps: at d = 2304 and 16k latents, 1e-8 itself would leave 30 % of the median decoder row's step."""
RATE_FACTOR = "rate_factor"
"""The key of a parameter group under which its rate, as a multiple of the run's, is kept."""
ONE_CYCLE_RISE = 0.3
"""The share of a one_cycle run that rises (Smith and Topin 2018 leave it near a third)."""
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4


def build_optimizer(sae: SparseAutoencoder, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser of one SAE, fused: one pass over the weights instead of a dozen.

    Parameters in larger units than the papers' have a group and a rate of their own (`SparseAutoencoder.rate_factors`).
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    groups = parameter_groups(sae, rate)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=SGD_MOMENTUM, weight_decay=decay, fused=True)
    eps = ADAM_EPS / sae.d_out
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, eps=eps, weight_decay=decay, fused=True)
    return torch.optim.Adam(groups, lr=rate, eps=eps, weight_decay=decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step; each group keeps its ratio to it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[RATE_FACTOR]


def optimizer_state(optimizer: torch.optim.Optimizer, sae: SparseAutoencoder) -> dict[str, Tensor]:
    """Moments and counters by parameter, e.g. `W_enc.exp_avg`."""
    return {
        f"{name}.{moment}": value
        for name, parameter in sae.named_parameters()
        for moment, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_optimizer_state(optimizer: torch.optim.Optimizer, sae: SparseAutoencoder, state: Mapping[str, Tensor]) -> None:
    """Restore the state that `optimizer_state` gave."""
    for name, parameter in sae.named_parameters():
        prefix = f"{name}."
        moments = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if moments:
            optimizer.state[parameter] = moments


def parameter_groups(sae: SparseAutoencoder, rate: float) -> list[dict[str, Any]]:
    """One group for each factor, in the order of the parameters."""
    factors = sae.rate_factors
    by_factor: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in sae.named_parameters():
        by_factor.setdefault(factors.get(name, 1.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate * factor, RATE_FACTOR: factor} for factor, parameters in by_factor.items()
    ]


def learning_rate(settings: Settings, step: int) -> float:
    """The learning rate of the next step, after `step` finished ones."""
    return settings.learning_rate * _factor(settings, step)


def sparsity_factor(settings: Settings, step: int) -> float:
    """The share of the full penalty at a step: rises linearly from 0 over the sparsity warm-up."""
    if settings.sparsity_warmup_steps == 0:
        return 1.0
    return min(1.0, step / settings.sparsity_warmup_steps)


def _factor(settings: Settings, step: int) -> float:
    if settings.lr_schedule == "one_cycle":
        return _one_cycle(step / max(1, settings.num_steps))
    warmup = settings.warmup_steps
    if step < warmup:
        # The first step already learns: a rate of 0 would waste its batch.
        return (step + 1) / warmup
    if settings.lr_schedule == "constant":
        left = settings.num_steps - step
        return min(1.0, left / settings.decay_steps) if settings.decay_steps else 1.0
    done = (step - warmup) / max(1, settings.num_steps - warmup)
    if settings.lr_schedule == "linear":
        return 1.0 - done
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _one_cycle(done: float) -> float:
    """Cosine up to the full rate, then cosine down to almost nothing."""
    if done < ONE_CYCLE_RISE:
        low, share = ONE_CYCLE_START, done / ONE_CYCLE_RISE
    else:
        low, share = ONE_CYCLE_END, (1.0 - done) / (1.0 - ONE_CYCLE_RISE)
    return low + (1.0 - low) * 0.5 * (1.0 - math.cos(math.pi * share))
