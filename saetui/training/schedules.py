"""The learning rate and the sparsity penalty over a run, as pure functions of the step."""

from __future__ import annotations

import math

from saetui.spec.settings import Settings

ONE_CYCLE_RISE = 0.3
"""The share of a one_cycle run that rises (Smith and Topin 2018 leave it near a third)."""
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4


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
