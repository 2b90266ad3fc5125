"""The commands to jobs: in which states each is possible, and the answer where it is not.

One table for all: the supervisor refuses commands by it, the command line selects jobs by it, and the screens show keys by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from saetui.errors import Conflict
from saetui.jobs.job import ENDED, DesiredState, Job, Status


class JobCommand(str, Enum):
    """The commands to existing jobs."""

    PAUSE = "pause"
    UNLOAD = "release"
    RESUME = "resume"
    CHECKPOINT = "checkpoint"
    STOP = "stop"
    RETRY = "retry"
    DELETE = "delete"
    MOVE = "move"


_Refusal = tuple[str, str]

_WAITING: _Refusal = ("waits in the queue", "It starts when its device is free; `saetui queue` changes the order.")
_STARTING: _Refusal = ("is still starting", "Try again when it runs.")
_RUNNING: _Refusal = ("runs already", "`saetui pause` pauses it.")
_STOPPING: _Refusal = ("is being stopped", "Wait until it has ended.")
_ENDED: _Refusal = ("has ended", "`saetui resume` continues it from its newest checkpoint.")
_DONE: _Refusal = ("has completed", "`saetui retry` trains it again from the start.")
_NOT_ENDED: _Refusal = ("has not ended", "Stop it first.")
_NOT_WAITING: _Refusal = ("does not wait in the queue", "Only queued jobs have a place in it.")

_NO_PAUSE: Mapping[Status, _Refusal] = {
    Status.STOPPING: _STOPPING, **dict.fromkeys(ENDED, _ENDED), Status.COMPLETED: _DONE
}  # fmt: skip
_UNLESS_ENDED = {status: _NOT_ENDED for status in Status if status not in ENDED}

_REFUSALS: Mapping[JobCommand, Mapping[Status, _Refusal]] = {
    JobCommand.PAUSE: _NO_PAUSE,
    JobCommand.UNLOAD: _NO_PAUSE,
    JobCommand.RESUME: {
        Status.QUEUED: _WAITING,
        Status.STARTING: _RUNNING,
        Status.RUNNING: _RUNNING,
        Status.STOPPING: _STOPPING,
        Status.COMPLETED: _DONE,
    },
    JobCommand.CHECKPOINT: {
        Status.QUEUED: _WAITING,
        Status.STARTING: _STARTING,
        Status.STOPPING: ("is being stopped", "It saves one when it ends."),
        **dict.fromkeys(ENDED, ("has ended", "`saetui show` lists its checkpoints.")),
    },
    JobCommand.STOP: dict.fromkeys(ENDED, ("has already ended", "Only a job that waits or runs can be stopped.")),
    JobCommand.RETRY: _UNLESS_ENDED,
    JobCommand.DELETE: dict.fromkeys(
        _UNLESS_ENDED, ("has not ended yet", "Stop it first; only ended jobs can be deleted.")
    ),
    JobCommand.MOVE: {status: _NOT_WAITING for status in Status if status is not Status.QUEUED},
}


def why_not(command: JobCommand, job: Job) -> _Refusal | None:
    """Why a command is not possible now, and the way out; None where it is possible."""
    holding = job.status in (Status.STARTING, Status.RUNNING, Status.PAUSED)
    if command is JobCommand.PAUSE and (job.unloaded or (holding and job.desired_state is not DesiredState.RUN)):
        word = "is being paused already" if job.status is not Status.PAUSED else "is paused already"
        return word, "`saetui resume` continues it, `saetui pause --unload` frees its memory."
    if command is JobCommand.UNLOAD and (job.unloaded or (holding and job.desired_state is DesiredState.UNLOAD)):
        word = "has freed its memory" if job.unloaded else "is freeing its memory"
        return word, "`saetui resume` continues it from its checkpoint."
    if command is JobCommand.RESUME and holding and job.desired_state is not DesiredState.RUN:
        return None
    if command is JobCommand.RESUME and job.status is Status.PAUSED and not job.unloaded:
        return "is resuming already", "It will run in a moment."
    if command is JobCommand.CHECKPOINT and job.unloaded:
        return "saved a checkpoint when it freed its memory", "`saetui resume` continues it from there."
    return _REFUSALS[command].get(job.status)


def can(command: JobCommand, job: Job) -> bool:
    """Whether a command is possible now."""
    return why_not(command, job) is None


def statuses_for(command: JobCommand) -> tuple[Status, ...]:
    """The states in which a command is possible."""
    return tuple(status for status in Status if status not in _REFUSALS[command])


def require_possible(command: JobCommand, jobs: Sequence[Job]) -> None:
    """Refuse a command that is not possible for every one of the jobs.

    Raises:
        Conflict: with the name, the state and the reason of each job for which it is not possible.
    """
    refused = [(job, reason) for job in jobs if (reason := why_not(command, job)) is not None]
    if not refused:
        return
    named = "; ".join(
        f"{job.name} {why}" if job.state in why else f"{job.name} ({job.state}) {why}" for job, (why, _) in refused
    )
    ways_out = dict.fromkeys(way_out for _, (_, way_out) in refused)
    rest = " Nothing was done to the others." if len(refused) < len(jobs) else ""
    raise Conflict(f"{named}.{rest}", " ".join(ways_out))
