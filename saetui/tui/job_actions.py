"""What one may do to jobs, from the list or from a job's own screen: ask, do, say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saetui.errors import SaetuiError
from saetui.jobs.job import Job
from saetui.rundir.layout import RunDirectory
from saetui.tui.screens.confirm import ConfirmScreen

if TYPE_CHECKING:
    from saetui.tui.app import SaetuiApp


async def ask_and_stop(app: SaetuiApp, jobs: Sequence[Job]) -> bool:
    """Stop those that have not ended, after asking. Returns whether it was asked of the supervisor."""
    going = [job for job in jobs if not job.status.ended]
    if not going:
        return False
    question = f"Stop {_named(going)}?"
    detail = "It finishes its step, saves a checkpoint, and exports the SAE as it stands."
    if len(going) > 1:
        detail = "Each finishes its step, saves a checkpoint, and exports its SAE as it stands."
    if all(job.status.value == "queued" for job in going):
        detail = "Not started yet: nothing is lost but the place in the queue."
    if not await app.push_screen_wait(ConfirmScreen(question, detail, do="Stop", cancel="Go on")):
        return False
    try:
        await app.commands.stop_jobs(tuple(job.id for job in going))
    except SaetuiError as error:
        app.tell(error, "Not stopped")
        return False
    app.notify(f"Stopping {_named(going)}.", markup=False)
    return True


async def ask_and_delete(app: SaetuiApp, jobs: Sequence[Job]) -> bool:
    """Delete those that have ended, after asking. Returns whether they are gone."""
    ended = [job for job in jobs if job.status.ended]
    if not ended:
        return False
    detail = "Its metrics, log, checkpoints and SAE are removed from the disk. This cannot be undone."
    if len(ended) > 1:
        detail = detail.replace("Its", "Their").replace("SAE are", "SAEs are")
    if len(ended) < len(jobs):
        detail += f" {len(jobs) - len(ended)} that still run or wait are left alone."
    if not await app.push_screen_wait(ConfirmScreen(f"Delete {_named(ended)}?", detail, do="Delete", cancel="Keep")):
        return False
    try:
        await app.commands.delete_jobs(tuple(job.id for job in ended))
    except SaetuiError as error:
        app.tell(error, "Not deleted")
        return False
    app.notify(f"Deleted {_named(ended)}.", markup=False)
    return True


async def clone_job(app: SaetuiApp, job: Job) -> None:
    """Open the form filled with the job's spec."""
    spec = await _read_spec(app, job)
    if spec is not None:
        app.open_form(spec)


async def save_job_as_template(app: SaetuiApp, job: Job) -> None:
    """Save the job's spec under a name made from it."""
    spec = await _read_spec(app, job)
    if spec is None:
        return
    try:
        template = await app.commands.save_template({key: value for key, value in spec.items() if key != "name"})
    except SaetuiError as error:
        app.tell(error, "Not saved")
        return
    app.notify(f"Saved as template {template.name}.", markup=False)


def copy_directory(app: SaetuiApp, job: Job) -> None:
    """The path of the job's directory onto the clipboard."""
    app.copy(job.directory, f"The path of {job.name}'s directory")


async def _read_spec(app: SaetuiApp, job: Job) -> dict[str, Any] | None:
    try:
        return await asyncio.to_thread(RunDirectory(Path(job.directory)).read_spec)
    except SaetuiError as error:
        app.tell(error, "The job's settings cannot be read")
        return None


def _named(jobs: Sequence[Job]) -> str:
    return jobs[0].name if len(jobs) == 1 else f"{len(jobs)} jobs"
