"""What may be asked of a job in each of its states, and what is said where it may not.

One table for everyone: the supervisor refuses by it, the command line offers states by it, the screens show keys by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from saetui.errors import Conflict
from saetui.jobs.job import ENDED, DesiredState, Job, Status


class JobCommand(str, Enum):
    """What can be asked of jobs that are there."""

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
_STARTING: _Refusal = ("is only starting", "Try again when it runs.")
_RUNNING: _Refusal = ("runs already", "`saetui pause` holds it.")
_STOPPING: _Refusal = ("is being stopped", "Wait until it has ended.")
_GONE_ON: _Refusal = ("has ended", "`saetui resume` lets it go on from its newest checkpoint.")
_DONE: _Refusal = ("has completed", "`saetui retry` trains it again from the start.")
_LIVE: _Refusal = ("has not ended", "Stop it first.")
_NOT_WAITING: _Refusal = ("does not wait in the queue", "Only queued jobs have a place in it.")

_ENDED_FOR_PAUSE: Mapping[Status, _Refusal] = {
    Status.STOPPING: _STOPPING,
    **dict.fromkeys(ENDED, _GONE_ON),
    Status.COMPLETED: _DONE,
}
_UNLESS_ENDED = {status: _LIVE for status in Status if status not in ENDED}

_REFUSALS: Mapping[JobCommand, Mapping[Status, _Refusal]] = {
    JobCommand.PAUSE: _ENDED_FOR_PAUSE,
    JobCommand.UNLOAD: _ENDED_FOR_PAUSE,
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
        Status.STOPPING: ("is being stopped", "Its end saves one anyway."),
        **dict.fromkeys(ENDED, ("has ended", "`saetui show` lists the checkpoints that it has.")),
    },
    JobCommand.STOP: dict.fromkeys(ENDED, ("has already ended", "Only a job that waits or runs can be stopped.")),
    JobCommand.RETRY: _UNLESS_ENDED,
    JobCommand.DELETE: dict.fromkeys(
        _UNLESS_ENDED, ("has not ended yet", "Stop it first; only ended jobs can be deleted.")
    ),
    JobCommand.MOVE: {status: _NOT_WAITING for status in Status if status is not Status.QUEUED},
}


def why_not(verb: JobCommand, job: Job) -> _Refusal | None:
    """Why this cannot be asked of a job now, and the way out; None where it can."""
    holding = job.status in (Status.STARTING, Status.RUNNING, Status.PAUSED)
    if verb is JobCommand.PAUSE and (job.unloaded or (holding and job.desired_state is not DesiredState.RUN)):
        word = "is being paused already" if job.status is not Status.PAUSED else "is paused already"
        return word, "`saetui resume` lets it go on, `saetui pause --unload` frees its memory."
    if verb is JobCommand.UNLOAD and (job.unloaded or (holding and job.desired_state is DesiredState.UNLOAD)):
        word = "has freed its memory" if job.unloaded else "is freeing its memory"
        return word, "`saetui resume` lets it go on from its checkpoint."
    if verb is JobCommand.RESUME and holding and job.desired_state is not DesiredState.RUN:
        return None
    if verb is JobCommand.RESUME and job.status is Status.PAUSED and not job.unloaded:
        return "is going on already", "It runs in a moment."
    if verb is JobCommand.CHECKPOINT and job.unloaded:
        return "saved a checkpoint when it freed its memory", "`saetui resume` lets it go on from there."
    return _REFUSALS[verb].get(job.status)


def can(verb: JobCommand, job: Job) -> bool:
    """Whether this can be asked of a job now."""
    return why_not(verb, job) is None


def statuses_for(verb: JobCommand) -> tuple[Status, ...]:
    """The states in which a job can be asked this."""
    return tuple(status for status in Status if status not in _REFUSALS[verb])


def require_possible(verb: JobCommand, jobs: Sequence[Job]) -> None:
    """See that something can be asked of every one of some jobs.

    Raises:
        Conflict: it cannot of at least one; every such job is named with its state and the reason.
    """
    refused = [(job, reason) for job in jobs if (reason := why_not(verb, job)) is not None]
    if not refused:
        return
    named = "; ".join(f"{job.name} ({job.state}) {why}" for job, (why, _) in refused)
    ways_out = dict.fromkeys(way_out for _, (_, way_out) in refused)
    rest = " Nothing was done to the others." if len(refused) < len(jobs) else ""
    raise Conflict(f"{named}.{rest}", " ".join(ways_out))
