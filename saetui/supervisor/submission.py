"""Making a new job: everything is checked first, and the job is durable before it is published; or nothing is made."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

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
from saetui.spec.training_spec import spec_json
from saetui.spec.validation import CompleteSpec, complete_spec
from saetui.supervisor.jobs import Jobs
from saetui.supervisor.record import Record, acknowledge, write_copy
from saetui.supervisor.torch_check import TorchCheck

log = logging.getLogger(__name__)


async def submit(home: Home, jobs: Jobs, raw: dict[str, Any], after: str | None, torch: TorchCheck) -> Submitted:
    """Check a spec (as JSON), make its run directory, and record the job as queued.

    `after`: the job that must complete before this one starts: an id, the beginning of one, or a name.

    Raises:
        SpecError: with every problem at once, including a name that is taken.
        NotFound: the job to wait for does not exist.
        Conflict: only the name is wrong: it is taken.
        TorchError: no trainer can load torch here.
        HomeError: there is no room or no permission.
    """
    ready = await _complete(jobs, raw)
    await torch.require()
    awaited = _awaited(jobs, after) if after is not None else None
    device = await asyncio.to_thread(resolve_device, ready.spec.device)
    # Nothing is awaited from here on: no other submission can take the name.
    wanted = ready.spec.name or "unnamed"
    if raw.get("name"):
        jobs.require_free_name(wanted)
    job_id, spec = new_id({record.id for record in jobs.records()}), ready.spec
    job = Job(
        id=job_id,
        name=free_name(wanted, jobs.names()),
        status=Status.QUEUED,
        architecture=spec.architecture,
        model=spec.model,
        layers=spec.layers,
        hook_points=spec.hook_points,
        directory=str(home.run(job_id)),
        created_at=now(),
        num_steps=ready.settings.num_steps if ready.settings else None,
        queue_rank=jobs.last_rank() + 1,
        after=awaited,
    )
    run = RunDirectory(home.run(job.id))
    record = Record(job=job, device=device)
    try:
        run.create({**spec_json(spec), "name": job.name})
    except OSError as error:
        raise _no_room(home, error) from error
    try:
        write_copy(record)
        jobs.add(record)
    except BaseException as error:
        _take_back(run)
        if isinstance(error, OSError):
            raise _no_room(home, error) from error
        raise
    acknowledge(run)
    return Submitted(job=job, warnings=ready.warnings)


def _take_back(run: RunDirectory) -> None:
    """Remove the directory of a job that is refused after all. The next start removes what is left."""
    try:
        entry = classify(run.path)
        if entry.kind is Kind.HALF_MADE:
            remove(entry)
    except OSError as error:
        log.warning("%s stays for now: %s", run.path, error)


def resolve_device(wanted: str) -> str:
    """The one device that a job holds: a definite one for `auto` and `cuda`."""
    if wanted == "auto":
        return default_device()
    return "cuda:0" if wanted == "cuda" else wanted


async def _complete(jobs: Jobs, raw: dict[str, Any]) -> CompleteSpec:
    try:
        return await asyncio.to_thread(complete_spec, raw)
    except SpecError as error:
        name = raw.get("name")
        try:
            if isinstance(name, str):
                jobs.require_free_name(name)
        except Conflict as conflict:
            taken = Problem(
                field="name",
                message=conflict.message.removeprefix("name: "),
                suggestion=conflict.suggestion,
                kind=conflict.kind,
            )
            raise SpecError([*error.problems, taken]) from error
        raise


def _awaited(jobs: Jobs, text: str) -> str:
    """The id of a job that has completed or still may."""
    job = jobs.find(text).job
    if job.status.ended and job.status is not Status.COMPLETED:
        raise Conflict(
            f"{job.name} ({job.state}) will not complete, so a job after it would never start.",
            "Resume or retry it first, or name another job.",
        )
    return job.id


def _no_room(home: Home, error: OSError) -> HomeError:
    return HomeError(
        f"The job's directory cannot be made in {home.runs}: {error.strerror or error}.",
        "Free some space, or give this user the right to write there.",
    )
