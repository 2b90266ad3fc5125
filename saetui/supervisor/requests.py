"""What each request does."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from saetui import __version__
from saetui.errors import SaetuiError
from saetui.formats.times import now
from saetui.home import Home
from saetui.jobs.job import Job, Status
from saetui.protocol import messages as m
from saetui.supervisor.fitting import fitting
from saetui.supervisor.job_commands import Verbs
from saetui.supervisor.jobs import Board
from saetui.supervisor.preferences import Taste
from saetui.supervisor.scheduler import Workforce
from saetui.supervisor.submission import submit
from saetui.supervisor.templates import Shelf

log = logging.getLogger(__name__)


class Answers:
    """Answers every request but `Subscribe`, which is the connection's own."""

    def __init__(
        self,
        home: Home,
        board: Board,
        shelf: Shelf,
        taste: Taste,
        workforce: Workforce,
        count_clients: Callable[[], int],
        troubles: Callable[[], tuple[str, ...]],
        leave: Callable[[], None],
    ) -> None:
        self._home = home
        self._board = board
        self._shelf = shelf
        self._taste = taste
        self._workforce = workforce
        self._verbs = Verbs(home, board, workforce)
        self._count_clients = count_clients
        self._troubles = troubles
        self._leave = leave
        self._started_at = now()

    async def answer(self, request: m.Request) -> m.Result:
        """Do what is asked.

        Raises:
            SaetuiError: it cannot be done, and why.
        """
        if isinstance(request, m.Submit):
            return await self._submit(request)
        if isinstance(request, m.GetJob):
            return m.OneJob(self._board.find(request.job).job)
        if isinstance(request, m.GetJobs):
            return m.ManyJobs(fitting(self._board.jobs()))
        if isinstance(request, m.GetTemplates):
            return m.ManyTemplates(await self._shelf.all())
        if isinstance(request, m.GetPreferences):
            return m.KeptPreferences(self._taste.now())
        if isinstance(request, m.SetPreferences):
            return m.KeptPreferences(self._taste.change(request.values))
        if isinstance(request, m.GetStatus):
            return self._status()
        if isinstance(request, m.Shutdown):
            self._leave()
            return m.Done()
        changed = await self._change_jobs(request)
        return m.ManyJobs(fitting(changed)) if changed is not None else await self._change_templates(request)

    async def _submit(self, request: m.Submit) -> m.Submitted:
        template = self._shelf.find(request.template) if request.template is not None else None
        submitted = await submit(self._home, self._board, request.spec, request.after)
        self._workforce.hint()
        if template is not None:
            try:
                self._shelf.count_use(template)
                self._shelf.tell()
            except SaetuiError as error:
                # The job is in the queue: a count that is one too low must not look like a refusal.
                log.warning("the use of template %s was not counted: %s", template.name, error)
        return submitted

    async def _change_jobs(self, request: m.Request) -> tuple[Job, ...] | None:
        """The jobs that a request has changed; None when it is about something else."""
        verbs = self._verbs
        if isinstance(request, m.StopJobs):
            return verbs.stop(request.jobs)
        if isinstance(request, m.PauseJobs):
            return verbs.pause(request.jobs, unload=request.unload)
        if isinstance(request, m.ResumeJobs):
            return verbs.resume(request.jobs)
        if isinstance(request, m.CheckpointJobs):
            return verbs.checkpoint(request.jobs)
        if isinstance(request, m.RetryJobs):
            return verbs.retry(request.jobs)
        if isinstance(request, m.MoveJobs):
            return verbs.move(request.jobs, request.to)
        if isinstance(request, m.DeleteJobs):
            return await verbs.delete(request.jobs)
        if isinstance(request, m.KeepCheckpoints):
            return await verbs.keep_checkpoints(request)
        return None

    async def _change_templates(self, request: m.Request) -> m.Result:
        if isinstance(request, m.ImportTemplates):
            result: m.Result = m.Imported(await self._shelf.bring_in(request.text))
        else:
            result = self._changed(request)
        self._shelf.tell()
        return result

    def _changed(self, request: m.Request) -> m.Result:
        shelf = self._shelf
        if isinstance(request, m.SaveTemplate):
            return m.OneTemplate(shelf.save(request.spec, request.name, request.description))
        if isinstance(request, m.EditTemplate):
            return m.OneTemplate(
                shelf.edit(
                    request.template,
                    name=request.name,
                    description=request.description,
                    favorite=request.favorite,
                    used=request.used,
                )
            )
        if isinstance(request, m.DuplicateTemplate):
            return m.OneTemplate(shelf.duplicate(request.template))
        if isinstance(request, m.DeleteTemplate):
            return m.OneTemplate(shelf.delete(request.template))
        if isinstance(request, m.RestoreTemplate):
            return m.OneTemplate(shelf.restore(request.template))
        raise AssertionError(f"{type(request).__name__} has no answer")

    def _status(self) -> m.SupervisorStatus:
        jobs = self._board.jobs()
        return m.SupervisorStatus(
            pid=os.getpid(),
            version=__version__,
            home=str(self._home.root),
            socket=str(self._home.socket),
            started_at=self._started_at,
            jobs_running=sum(job.holds_device for job in jobs),
            jobs_queued=sum(job.status is Status.QUEUED for job in jobs),
            clients=self._count_clients(),
            troubles=self._troubles(),
        )
