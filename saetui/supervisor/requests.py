"""What each request does, as a table from the type of a request to its handler."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, Union

from saetui import __version__
from saetui.errors import SaetuiError
from saetui.formats.times import now
from saetui.home import Home
from saetui.jobs.job import Job, Status
from saetui.jobs.templates import Template
from saetui.protocol import messages
from saetui.protocol.messages import BaseRequest, ManyJobs, OneTemplate, Request, Result
from saetui.supervisor.job_commands import JobCommands
from saetui.supervisor.jobs import Jobs
from saetui.supervisor.preferences import StoredPreferences
from saetui.supervisor.scheduler import Scheduler
from saetui.supervisor.submission import submit
from saetui.supervisor.templates import Templates
from saetui.supervisor.torch_check import TorchCheck

Asked = TypeVar("Asked", bound=BaseRequest[Any])
Answer = Union[Result, Awaitable[Result]]
log = logging.getLogger(__name__)


class RequestHandlers:
    """Answers every request except `Subscribe`, which changes the connection.

    Attributes:
        table: the handler of each type of request.
    """

    def __init__(
        self,
        home: Home,
        jobs: Jobs,
        templates: Templates,
        preferences: StoredPreferences,
        scheduler: Scheduler,
        torch: TorchCheck,
        count_clients: Callable[[], int],
        troubles: Callable[[], tuple[str, ...]],
        leave: Callable[[], None],
    ) -> None:
        self._home = home
        self._jobs = jobs
        self._templates = templates
        self._scheduler = scheduler
        self._torch = torch
        self._count_clients = count_clients
        self._troubles = troubles
        self._leave = leave
        self._started_at = now()
        self.table: dict[type[BaseRequest[Any]], Callable[[Any], Answer]] = {}
        commands = JobCommands(home, jobs, scheduler)
        self._add(messages.Submit, self._submit)
        self._add(messages.GetJob, lambda request: messages.OneJob(jobs.find(request.job).job))
        self._add(messages.GetJobs, lambda _: _many(jobs.all()))
        self._add(messages.StopJobs, lambda request: _many(commands.stop(request.jobs)))
        self._add(messages.PauseJobs, lambda request: _many(commands.pause(request.jobs, unload=request.unload)))
        self._add(messages.ResumeJobs, lambda request: self._start_again(request.jobs, commands.resume))
        self._add(messages.CheckpointJobs, lambda request: _many(commands.checkpoint(request.jobs)))
        self._add(messages.RetryJobs, lambda request: self._start_again(request.jobs, commands.retry))
        self._add(messages.MoveJobs, lambda request: _many(commands.move(request.jobs, request.to)))
        self._add(messages.DeleteJobs, lambda request: _many_later(commands.delete(request.jobs)))
        self._add(messages.KeepCheckpoints, lambda request: _many_later(commands.keep_checkpoints(request)))
        self._add(messages.GetPreferences, lambda _: messages.KeptPreferences(preferences.current()))
        self._add(messages.SetPreferences, lambda request: messages.KeptPreferences(preferences.change(request.values)))
        self._add(messages.GetTemplates, self._get_templates)
        self._add(messages.GetDeletedTemplates, lambda _: messages.ManyTemplates(self._templates.deleted()))
        self._add(messages.SaveTemplate, lambda request: self._changed(templates.save(request)))
        self._add(messages.EditTemplate, lambda request: self._changed(templates.edit(request)))
        self._add(messages.DuplicateTemplate, lambda request: self._changed(templates.duplicate(request.template)))
        self._add(messages.DeleteTemplate, lambda request: self._changed(templates.delete(request.template)))
        self._add(messages.RestoreTemplate, lambda request: self._changed(templates.restore(request.template)))
        self._add(messages.ImportTemplates, self._import_templates)
        self._add(messages.GetStatus, lambda _: self._status())
        self._add(messages.Shutdown, self._shutdown)

    def _add(self, kind: type[Asked], handler: Callable[[Asked], Answer]) -> None:
        self.table[kind] = handler

    async def answer(self, request: Request) -> Result:
        """Do what is asked.

        Raises:
            SaetuiError: it cannot be done, and why.
        """
        handler = self.table.get(type(request))
        assert handler is not None, f"{type(request).__name__} has no handler"
        answer = handler(request)
        return await answer if inspect.isawaitable(answer) else answer

    async def _submit(self, request: messages.Submit) -> messages.Submitted:
        template = self._templates.find(request.template) if request.template is not None else None
        submitted = await submit(self._home, self._jobs, request.spec, request.after, self._torch)
        self._scheduler.wake()
        if template is not None:
            try:
                self._changed(self._templates.count_use(template))
            except SaetuiError as error:
                # The job is in the queue: a count that is one too low must not look like a refusal.
                log.warning("the use of template %s was not counted: %s", template.name, error)
        return submitted

    async def _start_again(self, texts: Sequence[str], command: Callable[[Sequence[str]], Sequence[Job]]) -> ManyJobs:
        """Resume or retry. A job whose process lives has its torch already."""
        if not all(record.job.holds_device for record in self._jobs.find_all(texts)):
            await self._torch.require()
        return _many(command(texts))

    async def _get_templates(self, _: messages.GetTemplates) -> messages.ManyTemplates:
        return messages.ManyTemplates(await self._templates.checked())

    async def _import_templates(self, request: messages.ImportTemplates) -> messages.Imported:
        result = await self._templates.add_from_file(request.text)
        self._templates.publish()
        return messages.Imported(result)

    def _changed(self, template: Template) -> OneTemplate:
        self._templates.publish()
        return OneTemplate(template)

    def _shutdown(self, _: messages.Shutdown) -> messages.Done:
        self._leave()
        return messages.Done()

    def _status(self) -> messages.SupervisorStatus:
        jobs = self._jobs.all()
        return messages.SupervisorStatus(
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


def _many(jobs: Sequence[Job]) -> ManyJobs:
    return ManyJobs(tuple(jobs))


async def _many_later(jobs: Awaitable[Sequence[Job]]) -> ManyJobs:
    return _many(await jobs)
