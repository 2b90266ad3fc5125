"""Applies the rules of retention after a save."""

from __future__ import annotations

from pathlib import Path

from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.reading import delete_unless_read
from saetui.rundir.retention import Retention, superfluous
from saetui.spec.settings import Settings


def rules_of(settings: Settings) -> Retention:
    """What the spec says."""
    return Retention(
        keep_first=settings.keep_first,
        keep_last=settings.keep_last,
        keep_every=settings.keep_every,
        keep_best=settings.keep_best,
        warmup_steps=max(settings.warmup_steps, settings.sparsity_warmup_steps),
    )


def delete_superfluous(directory: Path, rules: Retention) -> list[int]:
    """Delete what no rule keeps; what somebody reads stays until the next time.

    Returns:
        The steps that are gone.

    Raises:
        OSError: one cannot be deleted.
    """
    return [info.step for info in superfluous(list_checkpoints(directory), rules) if delete_unless_read(info.path)]
