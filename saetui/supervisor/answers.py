"""What each request does."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from saetui import __version__
from saetui.errors import Conflict, HomeError, SaetuiError
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.jobs.times import now
from saetui.protocol import messages as m
from saetui.supervisor.board import Board
from saetui.supervisor.fitting import fitting
from saetui.supervisor.record import Record
from saetui.supervisor.shelf import Shelf
from saetui.supervisor.submission import submit
from saetui.supervisor.workforce import Workforce

log = logging.getLogger(__name__)


class Answers:
    """Answers every request but `Subscribe`, which is the connection's own."""

    def __init__(
        self,
        home: Home,
        board: Board,
        shelf: Shelf,
        workforce: Workforce,
        count_clients: Callable[[], int],
        leave: Callable[[], None],
    ) -> None:
        self._home = home
        self._board = board
        self._shelf = shelf
        self._workforce = workforce
        self._count_clients = count_clients
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
        if isinstance(request, m.StopJobs):
            return self._stop(request)
        if isinstance(request, m.DeleteJobs):
            return await self._delete(request)
        if isinstance(request, m.GetTemplates):
            return m.ManyTemplates(await self._shelf.all())
        if isinstance(request, m.GetStatus):
            return self._status()
        if isinstance(request, m.Shutdown):
            self._leave()
            return m.Done()
        return await self._change_templates(request)

    async def _submit(self, request: m.Submit) -> m.Submitted:
        template = self._shelf.find(request.template) if request.template is not None else None
        submitted = await submit(self._home, self._board, request.spec)
        self._workforce.hint()
        if template is not None:
            try:
                self._shelf.count_use(template)
                await self._shelf.tell()
            except SaetuiError as error:
                # The job is in the queue: a count that is one too low must not look like a refusal.
                log.warning("the use of template %s was not counted: %s", template.name, error)
        return submitted

    def _stop(self, request: m.StopJobs) -> m.ManyJobs:
        records = self._board.find_all(request.jobs)
        ended = [record for record in records if record.job.status.ended]
        if ended:
            raise Conflict(f"{_named(ended)}: already ended.", "Only a job that waits or runs can be stopped.")
        self._workforce.stop(records)
        self._workforce.hint()
        return m.ManyJobs(tuple(self._board[record.id].job for record in records))

    async def _delete(self, request: m.DeleteJobs) -> m.ManyJobs:
        records = self._board.find_all(request.jobs)
        live = [record for record in records if not record.job.status.ended]
        if live:
            raise Conflict(f"{_named(live)}: not ended yet.", "Stop it first; only ended jobs can be deleted.")
        for record in records:
            self._board.remove(record.id)
            try:
                await asyncio.to_thread(_remove, Path(record.job.directory))
            except OSError as error:
                raise HomeError(
                    f"{record.job.name} was deleted, but not all of its directory: {error}.",
                    f"Remove what is left in {self._home.runs} yourself.",
                ) from error
        return m.ManyJobs(tuple(record.job for record in records))

    async def _change_templates(self, request: m.Request) -> m.Result:
        result = self._changed(request)
        await self._shelf.tell()
        return result

    def _changed(self, request: m.Request) -> m.Result:
        shelf = self._shelf
        if isinstance(request, m.ImportTemplates):
            return m.Imported(shelf.bring_in(request.text))
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
            jobs_running=sum(job.status.holds_device for job in jobs),
            jobs_queued=sum(job.status is Status.QUEUED for job in jobs),
            clients=self._count_clients(),
        )


def _remove(directory: Path) -> None:
    """Remove a run directory; renamed first, so that a half removed one is never taken for a job."""
    if directory.exists():
        hidden = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}.deleted")
        os.rename(directory, hidden)
        shutil.rmtree(hidden)


def _named(records: list[Record]) -> str:
    return ", ".join(f"{record.job.name} ({record.job.status.value})" for record in records)
