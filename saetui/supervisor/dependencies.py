"""Jobs that wait for another job: started when that has completed, failed with its reason when it has not."""

from __future__ import annotations

import msgspec

from saetui.jobs.job import JobError, Status
from saetui.supervisor.auto_resume import waits_for_revival
from saetui.supervisor.jobs import Board, moved
from saetui.supervisor.record import Record


def settle(board: Board) -> None:
    """Free the queued jobs whose dependency has completed, and fail those whose dependency never will.

    Raises:
        HomeError: the store cannot be written; nothing has changed then.
    """
    board.write([changed for record in board.queue() if (changed := _settled(board, record)) is not None])


def _settled(board: Board, record: Record) -> Record | None:
    """The record with what has become of the job that it waits for; None where nothing has."""
    wanted = record.job.after
    if wanted is None:
        return None
    if wanted not in board:
        return moved(record, Status.FAILED, _failure(f"It waited for job {wanted}, which was deleted."))
    dependency = board[wanted]
    status = dependency.job.status
    if status is Status.COMPLETED:
        return msgspec.structs.replace(record, job=msgspec.structs.replace(record.job, after=None))
    if not status.ended or waits_for_revival(dependency):
        return None
    error = dependency.job.error
    reason = f": {error.message}" if error is not None else "."
    failure = _failure(f"It waited for {dependency.job.name} ({wanted}), which has {_WORDS[status]}{reason}")
    return moved(record, Status.FAILED, failure)


_WORDS = {Status.STOPPED: "been stopped", Status.FAILED: "failed", Status.LOST: "been lost"}


def _failure(message: str) -> JobError:
    return JobError(
        kind="dependency", message=message, suggestion="Set that one right and resume it, then resume this one."
    )
