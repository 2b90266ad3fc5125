"""The supervisor for programs that wait: one question, or the news of a job. A supervisor is started when none runs."""

from __future__ import annotations

import time
from collections.abc import Iterator

from saetui.client.blocking_client import BlockingClient
from saetui.client.lifecycle import ensure_supervisor
from saetui.client.session import ANSWER_SECONDS
from saetui.client.wire import NotRunning
from saetui.errors import NotFound, SupervisorError
from saetui.home import Home, find_home
from saetui.jobs.job import Job
from saetui.protocol.messages import BaseRequest, Event, GetJob, JobChanged, JobRemoved, R, Snapshot

RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


def connect(home: Home | None = None, *, start: bool = True, name: str = "cli") -> BlockingClient:
    """A connection to the supervisor; it is started when `start` is set and none runs.

    Raises:
        SupervisorError: none runs, or none can be started.
        HomeError: SAETUI_HOME cannot be used.
        ProtocolError: the supervisor speaks another version.
    """
    home = home or find_home()
    try:
        return BlockingClient.connect(home, name=name)
    except NotRunning:
        if not start:
            raise
    ensure_supervisor(home)
    return BlockingClient.connect(home, name=name)


def ask(request: BaseRequest[R], home: Home | None = None, *, start: bool = True, timeout: float = ANSWER_SECONDS) -> R:
    """Make one request over a connection of its own. Raises as `connect` and `BlockingClient.request` do."""
    with connect(home, start=start) as client:
        return client.request(request, timeout)


def follow(home: Home | None = None) -> Iterator[Snapshot | Event]:
    """All news, without end. When the supervisor dies it is started again, and a new snapshot follows.

    Raises:
        SaetuiError: it cannot be started again either.
    """
    home = home or find_home()
    failures = 0
    while True:
        try:
            with connect(home, name="follow") as client:
                for message in client.news():
                    failures = 0
                    yield message
        except SupervisorError:
            if failures == len(RETRY_SECONDS):
                raise
            time.sleep(RETRY_SECONDS[failures])
            failures += 1


def follow_job(job_id: str, home: Home | None = None) -> Iterator[Job]:
    """A job as it is now, then after each change, until it has ended. Survives the supervisor's death.

    Args:
        job_id: an id, a unique prefix of one, or a name.
        home: the home of the job.

    Raises:
        NotFound: there is no such job, or it was deleted meanwhile.
    """
    wanted = ask(GetJob(job_id), home).job.id
    for message in follow(home):
        for job in _changed_jobs(message, wanted):
            yield job
            if job.status.ended:
                return


def _changed_jobs(message: Snapshot | Event, wanted: str) -> list[Job]:
    if isinstance(message, Snapshot):
        found = [job for job in message.jobs if job.id == wanted]
        removed = not found
    else:
        change = message.change
        found = [change.job] if isinstance(change, JobChanged) and change.job.id == wanted else []
        removed = isinstance(change, JobRemoved) and change.id == wanted
    if removed:
        raise NotFound(f"There is no job {wanted} any more.", "It has been deleted.")
    return found
