"""What a screen may ask for. Screens know `Commands`; that a socket is behind it is known here alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from saetui.client.link import Unreachable
from saetui.jobs.job import Job
from saetui.jobs.preferences import Preferences, PreferenceValue
from saetui.jobs.template_files import ImportResult
from saetui.jobs.templates import Template
from saetui.protocol.messages import (
    BaseRequest,
    CheckpointJobs,
    DeleteJobs,
    DeleteTemplate,
    DuplicateTemplate,
    EditTemplate,
    Event,
    ImportTemplates,
    MoveJobs,
    PauseJobs,
    Place,
    R,
    RestoreTemplate,
    ResumeJobs,
    RetryJobs,
    SaveTemplate,
    SetPreferences,
    Snapshot,
    StopJobs,
    Submit,
    Submitted,
)


class Source(Protocol):
    """Where news come from and requests go: `saetui.client.link.Link`, or a fixed one to draw pictures of."""

    def updates(self) -> AsyncIterator[Snapshot | Event | Unreachable]: ...

    async def request(self, request: BaseRequest[R], timeout: float = 60.0) -> R: ...

    async def close(self) -> None: ...


class Commands:
    """Requests to the supervisor. Each raises `SaetuiError` when it is refused or the supervisor cannot be reached."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def submit(self, spec: dict[str, Any], template: str | None = None) -> Submitted:
        """Queue a training. `spec`: JSON, paths absolute. `template`: the one it was filled from; its use is counted."""
        return await self._source.request(Submit(spec, template))

    async def stop_jobs(self, jobs: tuple[str, ...]) -> tuple[Job, ...]:
        return (await self._source.request(StopJobs(jobs))).jobs

    async def pause_jobs(self, jobs: tuple[str, ...], *, unload: bool = False) -> tuple[Job, ...]:
        return (await self._source.request(PauseJobs(jobs, unload))).jobs

    async def resume_jobs(self, jobs: tuple[str, ...]) -> tuple[Job, ...]:
        return (await self._source.request(ResumeJobs(jobs))).jobs

    async def checkpoint_jobs(self, jobs: tuple[str, ...]) -> tuple[Job, ...]:
        return (await self._source.request(CheckpointJobs(jobs))).jobs

    async def retry_jobs(self, jobs: tuple[str, ...]) -> tuple[Job, ...]:
        return (await self._source.request(RetryJobs(jobs))).jobs

    async def move_jobs(self, jobs: tuple[str, ...], to: Place) -> tuple[Job, ...]:
        """The whole queue in its new order."""
        return (await self._source.request(MoveJobs(jobs, to))).jobs

    async def set_preferences(self, values: dict[str, PreferenceValue]) -> Preferences:
        return (await self._source.request(SetPreferences(dict(values)))).preferences

    async def delete_jobs(self, jobs: tuple[str, ...]) -> tuple[Job, ...]:
        return (await self._source.request(DeleteJobs(jobs))).jobs

    async def save_template(self, spec: dict[str, Any], name: str = "", description: str = "") -> Template:
        return (await self._source.request(SaveTemplate(spec, name, description))).template

    async def edit_template(
        self,
        template: str,
        *,
        name: str | None = None,
        description: str | None = None,
        favorite: bool | None = None,
        used: bool = False,
    ) -> Template:
        return (await self._source.request(EditTemplate(template, name, description, favorite, used))).template

    async def duplicate_template(self, template: str) -> Template:
        return (await self._source.request(DuplicateTemplate(template))).template

    async def delete_template(self, template: str) -> Template:
        return (await self._source.request(DeleteTemplate(template))).template

    async def restore_template(self, template: Template) -> Template:
        return (await self._source.request(RestoreTemplate(template))).template

    async def import_templates(self, text: str) -> ImportResult:
        return (await self._source.request(ImportTemplates(text))).result
