"""Which checkpoints are kept: rules without side effects, for the trainer that deletes and the screen that previews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union

import msgspec

from saetui.rundir.checkpoints import CheckpointInfo
from saetui.spec.hyperparameters import HYPERPARAMETERS

Count = Annotated[int, msgspec.Meta(ge=1)]


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """The rules. A checkpoint is kept if at least one rule keeps it.

    Attributes:
        keep_first: keep the first one of the run.
        keep_last: how many of the newest to keep.
        keep_every: keep those whose step is a multiple of this; None: no such rule.
        keep_best: keep the one with the lowest held-out FVU, among those that were evaluated at their step after the
            warm-up: while the penalty or the learning rate still rises, a low FVU means nothing.
        warmup_steps: the last step of the warm-up.
    """

    keep_first: bool = True
    keep_last: Count = 2
    keep_every: Union[Count, None] = None
    keep_best: bool = True
    warmup_steps: int = 0


def spec_rules(spec: Mapping[str, Any]) -> Retention:
    """The rules in a job's spec; where it lacks one, the default."""
    values = spec.get("hyperparameters") or {}
    rules: dict[str, Any] = {
        name: values.get(name, HYPERPARAMETERS[name].default)
        for name in ("keep_first", "keep_last", "keep_every", "keep_best")
    }
    warmup_steps = max(values.get("warmup_steps") or 0, values.get("sparsity_warmup_steps") or 0)
    return Retention(**rules, warmup_steps=warmup_steps)


def superfluous(checkpoints: Sequence[CheckpointInfo], rules: Retention) -> list[CheckpointInfo]:
    """The checkpoints that no rule keeps: a trainer deletes them after each save. The newest is always kept.

    `checkpoints`: of one job, oldest first.
    """
    kept = {checkpoint.step for checkpoint in checkpoints[-max(1, rules.keep_last) :]}
    if rules.keep_first:
        kept |= {checkpoint.step for checkpoint in checkpoints[:1]}
    if rules.keep_every is not None:
        kept |= {checkpoint.step for checkpoint in checkpoints if checkpoint.step % rules.keep_every == 0}
    if rules.keep_best:
        best = best_of(checkpoints, rules.warmup_steps)
        kept |= set() if best is None else {best.step}
    return [checkpoint for checkpoint in checkpoints if checkpoint.step not in kept]


def best_of(checkpoints: Sequence[CheckpointInfo], warmup_steps: int) -> CheckpointInfo | None:
    """The checkpoint with the lowest held-out FVU after the warm-up, the earlier of equals; None where none has one."""
    measured = [info for info in checkpoints if info.fvu is not None and info.step > warmup_steps]
    return min(measured, key=lambda info: (info.fvu, info.step), default=None)
