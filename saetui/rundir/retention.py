"""Which checkpoints stay: rules without side effects, the same for a trainer that deletes and a screen that previews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union

import msgspec

from saetui.rundir.checkpoints import CheckpointInfo

Count = Annotated[int, msgspec.Meta(ge=1)]


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """The rules; a checkpoint that one of them keeps stays.

    Attributes:
        keep_first: the first of the run.
        keep_last: so many of the newest.
        keep_every: those whose step is a multiple of it; None: no such rule.
        keep_best: the one with the lowest held-out FVU among those that were evaluated at their step after the warm-up:
            while the penalty or the learning rate still rises, a low FVU says nothing.
        warmup_steps: when the warm-up is over.
    """

    keep_first: bool = True
    keep_last: Count = 2
    keep_every: Union[Count, None] = None
    keep_best: bool = True
    warmup_steps: int = 0


def spec_rules(spec: Mapping[str, Any]) -> Retention:
    """What a job's own spec says, which is complete with every default."""
    values = spec["hyperparameters"]
    return Retention(
        keep_first=values["keep_first"],
        keep_last=values["keep_last"],
        keep_every=values["keep_every"],
        keep_best=values["keep_best"],
        warmup_steps=max(values.get("warmup_steps") or 0, values.get("sparsity_warmup_steps") or 0),
    )


def superfluous(checkpoints: Sequence[CheckpointInfo], rules: Retention) -> list[CheckpointInfo]:
    """Those that no rule keeps, each a whole step: what is deleted after a save, and what a changed rule would delete.

    The newest always stays, whatever the rules say.

    Args:
        checkpoints: of one job, oldest first.
        rules: as they are, or as they would be.
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
    """The one with the lowest held-out FVU after the warm-up, the earlier of equals; None where none was evaluated."""
    measured = [
        (info.fvu, info.step, info) for info in checkpoints if info.fvu is not None and info.step > warmup_steps
    ]
    return min(measured, key=lambda entry: entry[:2])[2] if measured else None
