"""Taking in a new job: everything is checked first, and it is durable before anyone is told; or nothing is made."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from saetui.devices.device import default_device
from saetui.errors import Conflict, HomeError
from saetui.formats.names import free_name, new_id
from saetui.formats.times import now
from saetui.home import Home
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import Submitted
from saetui.rundir.layout import RunDirectory
from saetui.rundir.leftovers import Kind, classify, remove
from saetui.spec.problems import Problem, SpecError
from saetui.spec.training_spec import TrainingSpec, spec_json
from saetui.spec.validation import CompleteSpec, complete_spec
from saetui.supervisor.jobs import Board
from saetui.supervisor.record import Record, write_copy

log = logging.getLogger(__name__)


async def submit(home: Home, board: Board, raw: dict[str, Any], after: str | None = None) -> Submitted:
    """Check a spec, make its run directory, and record the job as queued.

    Args:
        home: where.
        board: the jobs that there are.
        raw: the spec as JSON.
        after: the job that must complete before this one starts: an id, the beginning of one, or a name.

    Raises:
        SpecError: with every problem at once, a name that is taken among them.
        NotFound: there is no job to wait for.
        Conflict: nothing is wrong but that the name is taken.
        HomeError: there is no room or no permission.
    """
    ready = await _complete(board, raw)
    awaited = _awaited(board, after) if after is not None else None
    device = await asyncio.to_thread(resolve_device, ready.spec.device)
    # From here to the end nothing waits: no other submission can take the name.
    wanted = ready.spec.name or "unnamed"
    if raw.get("name"):
        board.require_free_name(wanted)
    job = _job(home, board, ready.spec, ready.settings.num_steps if ready.settings else None, wanted)
    job = msgspec.structs.replace(job, after=awaited)
    run = RunDirectory(home.run(job.id))
    record = Record(job=job, device=device)
    try:
        run.create({**spec_json(ready.spec), "name": job.name})
    except OSError as error:
        raise _no_room(home, error) from error
    try:
        write_copy(record)
        board.add(record)
    except BaseException as error:
        _take_back(run)
        if isinstance(error, OSError):
            raise _no_room(home, error) from error
        raise
    try:
        run.acknowledge()
    except OSError as error:
        # The store knows the job, and that counts more than the mark.
        log.warning("job %s: the mark of its submission stays for now: %s", job.id, error)
    return Submitted(job=job, warnings=ready.warnings)


def _take_back(run: RunDirectory) -> None:
    """Remove the directory of a job that is refused after all. What cannot be removed is removed by the next start."""
    try:
        entry = classify(run.path)
        if entry.kind is Kind.HALF_MADE:
            remove(entry)
    except OSError as error:
        log.warning("%s stays for now: %s", run.path, error)


def resolve_device(wanted: str) -> str:
    """The one device that a job holds: `auto` and `cuda` made definite."""
    if wanted == "auto":
        return default_device()
    return "cuda:0" if wanted == "cuda" else wanted


async def _complete(board: Board, raw: dict[str, Any]) -> CompleteSpec:
    try:
        return await asyncio.to_thread(complete_spec, raw)
    except SpecError as error:
        name = raw.get("name")
        try:
            if isinstance(name, str):
                board.require_free_name(name)
        except Conflict as conflict:
            taken = Problem(
                field="name",
                message=conflict.message.removeprefix("name: "),
                suggestion=conflict.suggestion,
                kind=conflict.kind,
            )
            raise SpecError([*error.problems, taken]) from error
        raise


def _job(home: Home, board: Board, spec: TrainingSpec, num_steps: int | None, wanted: str) -> Job:
    job_id = new_id({record.id for record in board.records()})
    return Job(
        id=job_id,
        name=free_name(wanted, board.names()),
        status=Status.QUEUED,
        architecture=spec.architecture,
        model=spec.model,
        layers=spec.layers,
        hook_points=spec.hook_points,
        directory=str(home.run(job_id)),
        created_at=now(),
        num_steps=num_steps,
        queue_rank=board.last_rank() + 1,
    )


def _awaited(board: Board, text: str) -> str:
    """The id of a job that may still complete, or has.

    Raises:
        NotFound: there is none.
        Conflict: it has ended otherwise.
    """
    job = board.find(text).job
    if job.status.ended and job.status is not Status.COMPLETED:
        raise Conflict(
            f"{job.name} ({job.state}) will not complete: a job after it would never start.",
            "Resume or retry it first, or name another.",
        )
    return job.id


def _no_room(home: Home, error: OSError) -> HomeError:
    return HomeError(
        f"The job's directory cannot be made in {home.runs}: {error.strerror or error}.",
        "Make room or give this user the right to write there.",
    )
