"""What one may do with a job's settings and directory, from the list or from its own screen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saetui.errors import SaetuiError
from saetui.jobs.job import Job
from saetui.rundir.layout import RunDirectory

if TYPE_CHECKING:
    from saetui.tui.app import SaetuiApp


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
