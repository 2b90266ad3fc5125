"""Keys that act on jobs, from the list or from a job's own screen: pause, resume, stop, retry, delete, order, copy.

Each key acts on those of its targets for which it is possible (jobs/commands.py), asks first where something would be lost,
and says what happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from textual import work

from saetui.display.figures import size
from saetui.display.text import one_line
from saetui.errors import SaetuiError
from saetui.formats.directories import bytes_in
from saetui.jobs.commands import JobCommand, can
from saetui.jobs.job import Job, Status
from saetui.protocol import messages
from saetui.protocol.messages import BaseRequest
from saetui.rundir.layout import RunDirectory
from saetui.spec.chosen import chosen_values, width_of
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.chart_choice import ChartChoice
from saetui.tui.screens.dialog import ConfirmScreen
from saetui.tui.screens.export import ExportedScreen, ExportScreen
from saetui.tui.widgets.chart_grid import ChartGrid

ACTION_COMMANDS: Mapping[str, tuple[JobCommand, ...]] = {
    "pause": (JobCommand.PAUSE, JobCommand.RESUME),
    "unload": (JobCommand.UNLOAD,),
    "resume": (JobCommand.RESUME,),
    "checkpoint": (JobCommand.CHECKPOINT,),
    "stop": (JobCommand.STOP,),
    "retry": (JobCommand.RETRY,),
    "delete": (JobCommand.DELETE,),
    "earlier": (JobCommand.MOVE,),
    "later": (JobCommand.MOVE,),
}
"""Action → the commands that it can give. `pause` resumes paused jobs where none can be paused."""


_NAMES = 12
"""So many jobs are named in a question."""


@dataclass(frozen=True)
class _Question:
    """A question before something is lost; `one` and `several` say what would happen. `removes`: files."""

    one: str
    several: str
    do: str
    cancel: str
    removes: bool = False


_STOP = _Question(
    "It finishes its step, saves a checkpoint, and exports the SAE as it is then.",
    "Each finishes its step, saves a checkpoint, and exports its SAE as it is then.",
    "Stop",
    "Keep training",
)
_RETRY = _Question(
    "It is trained from the start. Metrics, events, checkpoints and SAEs of the earlier attempt are removed; its log is "
    "kept. To go on from its newest checkpoint instead: r.",
    "They are trained from the start. Metrics, events, checkpoints and SAEs of the earlier attempts are removed; their "
    "logs are kept. To go on from their newest checkpoints instead: r.",
    "Retry",
    "Keep",
    removes=True,
)
_DELETE = _Question(
    "Its metrics, log, checkpoints and SAE are removed from the disk. This cannot be undone.",
    "Their metrics, log, checkpoints and SAEs are removed from the disk. This cannot be undone.",
    "Delete",
    "Keep",
    removes=True,
)


def can_be_asked(action: str, jobs: Sequence[Job]) -> bool:
    """Whether a key has a job to act on."""
    return any(
        can(command, job)
        and not (action == "pause" and command is JobCommand.RESUME and job.status is not Status.PAUSED)
        for command in ACTION_COMMANDS[action]
        for job in jobs
    )


class JobKeys(SaetuiScreen[None]):
    """A screen whose keys act on jobs, with charts of one of them."""

    @property
    def current_job(self) -> Job | None:
        """The one job that is shown or highlighted."""
        raise NotImplementedError

    def targets(self) -> list[Job]:
        """The jobs that a key acts on."""
        return [self.current_job] if self.current_job is not None else []

    def unmark(self, jobs: Sequence[Job]) -> None:
        """The action on these jobs is done: they are marked no longer."""

    def hidden_marks(self) -> int:
        """How many jobs are marked but not shown: keys leave them alone."""
        return 0

    @work
    async def action_pause(self) -> None:
        running = self._able(JobCommand.PAUSE)
        if running:
            await self._ask(running, messages.PauseJobs, "Pausing {}.")
            return
        paused = [job for job in self._able(JobCommand.RESUME) if job.status is Status.PAUSED]
        await self._ask(paused, messages.ResumeJobs, "Resuming {}.")

    @work
    async def action_unload(self) -> None:
        await self._ask(
            self._able(JobCommand.UNLOAD),
            partial(messages.PauseJobs, unload=True),
            "Pausing {} and freeing the memory.",
        )

    @work
    async def action_resume(self) -> None:
        jobs = self._able(JobCommand.RESUME)
        if all(job.holds_device for job in jobs):
            await self._ask(jobs, messages.ResumeJobs, "Resuming {}.")
        else:
            await self._ask(jobs, messages.ResumeJobs, "{} is in the queue and resumes in turn.", "{} resume in turn.")

    @work
    async def action_checkpoint(self) -> None:
        await self._ask(self._able(JobCommand.CHECKPOINT), messages.CheckpointJobs, "Saving a checkpoint of {}.")

    @work
    async def action_stop(self) -> None:
        jobs = self._able(JobCommand.STOP)
        detail = ""
        if jobs and not any(job.holds_device for job in jobs):
            detail = "Not started yet: only the place in the queue is lost."
            if any(job.step for job in jobs):
                detail = "No process is running: the last checkpoint is kept, and r resumes from it."
        if await self._confirmed(_STOP, jobs, detail=detail):
            await self._ask(jobs, messages.StopJobs, "Stopping {}.")

    @work
    async def action_retry(self) -> None:
        jobs = self._able(JobCommand.RETRY)
        if await self._confirmed(_RETRY, jobs):
            await self._ask(jobs, messages.RetryJobs, "Starting {} again.")

    @work
    async def action_delete(self) -> None:
        jobs = self._able(JobCommand.DELETE)
        others = len(self.targets()) - len(jobs)
        rest = (
            f" {_jobs(others)} still running or waiting {'is' if others == 1 else 'are'} left alone." if others else ""
        )
        if await self._confirmed(_DELETE, jobs, more=rest) and await self._ask(
            jobs, messages.DeleteJobs, "Deleted {}."
        ):
            self.deleted()

    def deleted(self) -> None:
        """The targets were deleted."""

    @work
    async def action_earlier(self) -> None:
        await self._ask(self._able(JobCommand.MOVE), partial(messages.MoveJobs, to=messages.Place.UP))

    @work
    async def action_later(self) -> None:
        await self._ask(self._able(JobCommand.MOVE), partial(messages.MoveJobs, to=messages.Place.DOWN))

    @work
    async def action_clone(self) -> None:
        spec = await self._read_spec()
        if spec is not None:
            self.shell.open_form(spec)

    @work
    async def action_make_template(self) -> None:
        spec = await self._read_spec()
        if spec is None:
            return
        spec = chosen_values(spec, await asyncio.to_thread(width_of, spec))
        spec.pop("name", None)
        if (saved := await self.shell.attempt(messages.SaveTemplate(spec), "The template was not saved")) is not None:
            self.notify(f"Saved as template {saved.template.name}.", markup=False)

    @work
    async def action_export(self) -> None:
        job = self.current_job
        if job is None:
            return
        try:
            dialog = ExportScreen(job)
        except SaetuiError as error:
            self.shell.show_error(error, "There is nothing to export yet")
            return
        written = await self.shell.ask(dialog)
        if written is not None:
            await self.shell.ask(ExportedScreen(written, dialog.layout_name))

    def action_copy(self) -> None:
        job = self.current_job
        if job is not None:
            self.shell.copy(job.directory, f"The path of {job.name}'s directory")

    def action_log_axis(self) -> None:
        self.query_one(ChartGrid).toggle_log()

    def action_smooth(self) -> None:
        self.query_one(ChartGrid).next_smoothing()

    def action_more_charts(self) -> None:
        self.query_one(ChartGrid).turn(1)

    @work
    async def action_choose_charts(self) -> None:
        chosen = await self.shell.ask(ChartChoice(self.shell.chosen_charts))
        if chosen is not None:
            self.shell.choose_charts(chosen)

    async def _read_spec(self) -> dict[str, Any] | None:
        job = self.current_job
        if job is None:
            return None
        try:
            return await asyncio.to_thread(RunDirectory(Path(job.directory)).read_spec)
        except SaetuiError as error:
            self.shell.show_error(error, "The job's settings cannot be read")
            return None

    def _able(self, command: JobCommand) -> list[Job]:
        return [job for job in self.targets() if can(command, job)]

    async def _confirmed(self, question: _Question, jobs: Sequence[Job], *, detail: str = "", more: str = "") -> bool:
        if not jobs:
            return False
        parts = [detail or (question.one if len(jobs) == 1 else question.several)]
        parts[0] += more + _left_alone(self.hidden_marks())
        if len(jobs) > 1:
            parts.insert(0, _listing(jobs))
        if question.removes:
            taken = await asyncio.to_thread(lambda: sum(bytes_in(Path(job.directory)) for job in jobs))
            parts.append(f"On the disk {'it takes' if len(jobs) == 1 else 'they take'} {size(taken)}.")
        dialog = ConfirmScreen(
            f"{question.do} {_named(jobs)}?", "\n".join(parts), do=question.do, cancel=question.cancel
        )
        return await self.shell.ask(dialog)

    async def _ask(
        self, jobs: Sequence[Job], request: Callable[[tuple[str, ...]], BaseRequest[messages.ManyJobs]], *notices: str
    ) -> bool:
        """Ask the supervisor, and say so. `notices`: for one job, and for several where that is another sentence."""
        if not jobs or await self.shell.attempt(request(tuple(job.id for job in jobs))) is None:
            return False
        if notices:
            notice = notices[-1 if len(jobs) > 1 else 0].format(_named(jobs))
            self.notify(notice + _left_alone(self.hidden_marks()), markup=False)
            self.unmark(jobs)
        return True


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _named(jobs: Sequence[Job]) -> str:
    return jobs[0].name if len(jobs) == 1 else _jobs(len(jobs))


def _listing(jobs: Sequence[Job]) -> str:
    names = [one_line(job.name) for job in jobs[:_NAMES]]
    rest = f" and {len(jobs) - _NAMES} more" if len(jobs) > _NAMES else ""
    return f"{', '.join(names)}{rest}."


def _left_alone(hidden: int) -> str:
    """A sentence on marked jobs that the filter hides; empty where there are none."""
    if not hidden:
        return ""
    words = "1 marked job hidden by the filter is" if hidden == 1 else f"{hidden} marked jobs hidden by the filter are"
    return f" {words} left alone."
