"""Which checkpoints stay."""

from __future__ import annotations

from collections.abc import Sequence

from saetui.jobs.settings import Settings
from saetui.rundir.checkpoints import CheckpointInfo


def superfluous(checkpoints: Sequence[CheckpointInfo], settings: Settings) -> list[CheckpointInfo]:
    """Those that no rule keeps. The newest always stays, whatever the rules say.

    Args:
        checkpoints: oldest first.
        settings: keep_first, keep_last, keep_every, keep_best.
    """
    kept = {checkpoint.step for checkpoint in checkpoints[-max(1, settings.keep_last) :]}
    if settings.keep_first:
        kept |= {checkpoint.step for checkpoint in checkpoints[:1]}
    if settings.keep_every is not None:
        kept |= {checkpoint.step for checkpoint in checkpoints if checkpoint.step % settings.keep_every == 0}
    if settings.keep_best:
        measured = [(checkpoint.fvu, checkpoint.step) for checkpoint in checkpoints if checkpoint.fvu is not None]
        kept |= {step for _, step in sorted(measured)[:1]}
    return [checkpoint for checkpoint in checkpoints if checkpoint.step not in kept]
