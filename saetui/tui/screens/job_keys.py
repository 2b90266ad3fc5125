"""What is asked of jobs from the list or from a job's own screen: pause, resume, stop, retry, delete, order.

Each key acts on those of its targets for which it can be done (jobs/commands.py says which), asks first where something is
lost, and says what happens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from textual import work

from saetui.errors import SaetuiError
from saetui.jobs.commands import JobCommand, can
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import Place
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.confirm import ConfirmScreen

VERBS: Mapping[str, tuple[JobCommand, ...]] = {
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
"""Action → what it asks of jobs. `pause` lets those go on that are paused, where none can be paused."""


@dataclass(frozen=True)
class _Question:
    """What is asked before something is lost; `one` and `several` say what happens then."""

    one: str
    several: str
    do: str
    cancel: str


_STOP = _Question(
    "It finishes its step, saves a checkpoint, and exports the SAE as it stands.",
    "Each finishes its step, saves a checkpoint, and exports its SAE as it stands.",
    "Stop",
    "Go on",
)
_RETRY = _Question(
    "It is trained from the start. Metrics, events, checkpoints and SAEs of the earlier try are removed; its log is kept. "
    "To go on from its newest checkpoint instead: r.",
    "They are trained from the start. Metrics, events, checkpoints and SAEs of the earlier tries are removed; their logs "
    "are kept. To go on from their newest checkpoints instead: r.",
    "Retry",
    "Keep",
)
_DELETE = _Question(
    "Its metrics, log, checkpoints and SAE are removed from the disk. This cannot be undone.",
    "Their metrics, log, checkpoints and SAEs are removed from the disk. This cannot be undone.",
    "Delete",
    "Keep",
)


def can_be_asked(action: str, jobs: Sequence[Job]) -> bool:
    """Whether a key has a job to act on."""
    return any(
        can(verb, job) and not (action == "pause" and verb is JobCommand.RESUME and job.status is not Status.PAUSED)
        for verb in VERBS[action]
        for job in jobs
    )


class JobKeys(SaetuiScreen[None]):
    """A screen whose keys act on jobs: `targets` says which ones are meant."""

    def targets(self) -> list[Job]:
        """The jobs that a key acts on."""
        raise NotImplementedError

    def hidden_marks(self) -> int:
        """How many jobs are marked and not shown: keys leave them alone."""
        return 0

    def done(self, verb: str) -> None:
        """Something was asked of the supervisor."""

    @work
    async def action_pause(self) -> None:
        going = self._able(JobCommand.PAUSE)
        if going:
            await self._ask("pause", going, self.commands.pause_jobs, "Pausing {}.")
            return
        paused = [job for job in self._able(JobCommand.RESUME) if job.status is Status.PAUSED]
        await self._ask("resume", paused, self.commands.resume_jobs, "{} goes on.", "{} go on.")

    @work
    async def action_unload(self) -> None:
        async def unload(jobs: tuple[str, ...]) -> tuple[Job, ...]:
            return await self.commands.pause_jobs(jobs, unload=True)

        await self._ask("unload", self._able(JobCommand.UNLOAD), unload, "Pausing {} and freeing the memory.")

    @work
    async def action_resume(self) -> None:
        jobs = self._able(JobCommand.RESUME)
        waits = any(not job.holds_device for job in jobs)
        words = ("{} goes on when it is its turn.", "{} go on when it is their turn.")
        await self._ask("resume", jobs, self.commands.resume_jobs, *(words if waits else ("{} goes on.", "{} go on.")))

    @work
    async def action_checkpoint(self) -> None:
        await self._ask(
            "checkpoint",
            self._able(JobCommand.CHECKPOINT),
            self.commands.checkpoint_jobs,
            "Saving a checkpoint of {}.",
        )

    @work
    async def action_stop(self) -> None:
        jobs = self._able(JobCommand.STOP)
        detail = ""
        if jobs and not any(job.holds_device for job in jobs):
            detail = "Not started yet: nothing is lost but the place in the queue."
            if any(job.step for job in jobs):
                detail = "No process runs: what was saved last is what there is. r lets it go on from there."
        if await self._confirmed(_STOP, jobs, detail=detail):
            await self._ask("stop", jobs, self.commands.stop_jobs, "Stopping {}.")

    @work
    async def action_retry(self) -> None:
        jobs = self._able(JobCommand.RETRY)
        if await self._confirmed(_RETRY, jobs):
            await self._ask("retry", jobs, self.commands.retry_jobs, "{} starts anew.", "{} start anew.")

    @work
    async def action_delete(self) -> None:
        targets = self.targets()
        jobs = self._able(JobCommand.DELETE)
        rest = f" {len(targets) - len(jobs)} that still run or wait are left alone." if len(jobs) < len(targets) else ""
        if await self._confirmed(_DELETE, jobs, more=rest):
            await self._ask("delete", jobs, self.commands.delete_jobs, "Deleted {}.")

    @work
    async def action_earlier(self) -> None:
        await self._move(Place.UP)

    @work
    async def action_later(self) -> None:
        await self._move(Place.DOWN)

    async def _move(self, to: Place) -> None:
        async def move(jobs: tuple[str, ...]) -> tuple[Job, ...]:
            return await self.commands.move_jobs(jobs, to)

        await self._ask("move", self._able(JobCommand.MOVE), move)

    def _able(self, verb: JobCommand) -> list[Job]:
        return [job for job in self.targets() if can(verb, job)]

    async def _confirmed(self, question: _Question, jobs: Sequence[Job], *, detail: str = "", more: str = "") -> bool:
        if not jobs:
            return False
        text = detail or (question.one if len(jobs) == 1 else question.several)
        more += _left_alone(self.hidden_marks())
        dialog = ConfirmScreen(f"{question.do} {_named(jobs)}?", text + more, do=question.do, cancel=question.cancel)
        return await self.saetui.push_screen_wait(dialog)

    async def _ask(
        self,
        verb: str,
        jobs: Sequence[Job],
        command: Callable[[tuple[str, ...]], Awaitable[tuple[Job, ...]]],
        *words: str,
    ) -> None:
        """Ask it of the supervisor, and say so. `words`: for one job, and for several where that is another sentence."""
        if not jobs:
            return
        try:
            await command(tuple(job.id for job in jobs))
        except SaetuiError as error:
            self.saetui.tell(error)
            return
        self.done(verb)
        if words:
            said = words[-1 if len(jobs) > 1 else 0].format(_named(jobs))
            self.notify(said + _left_alone(self.hidden_marks()), markup=False)


def _named(jobs: Sequence[Job]) -> str:
    return jobs[0].name if len(jobs) == 1 else f"{len(jobs)} jobs"


def _left_alone(hidden: int) -> str:
    """A sentence on marked jobs that the filter hides; empty where there are none."""
    if not hidden:
        return ""
    return f" {hidden} marked {'job' if hidden == 1 else 'jobs'} hidden by the filter {'is' if hidden == 1 else 'are'} left alone."
