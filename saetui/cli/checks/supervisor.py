"""The supervisor with its version and its socket, and the jobs that it knows."""

from __future__ import annotations

import os
from collections.abc import Iterator

from saetui import __version__
from saetui.cli.checks.finding import Finding, good, problem, warning
from saetui.cli.checks.home import check_runs
from saetui.client.blocking import ask
from saetui.errors import NotFound, SaetuiError
from saetui.formats.names import is_id
from saetui.home import Home
from saetui.protocol.messages import GetJob, GetJobs, GetStatus
from saetui.sockets import is_private


def check_supervisor(home: Home) -> Iterator[Finding]:
    """Whether the supervisor answers, and what else lies in `runs/`. It is started when it does not run."""
    try:
        status = ask(GetStatus())
        known = _known_jobs(home)
    except SaetuiError as error:
        yield problem("supervisor", error.message, error.suggestion)
        yield from check_runs(home, None)
        return
    if status.version != __version__:
        yield warning("supervisor", f"It runs saetui {status.version}, and this is {__version__}.",
                      "saetui supervisor stop; trainings go on, and the next command starts the new one.")  # fmt: skip
    yield good("supervisor", f"process {status.pid}, {status.jobs_running} running, {status.jobs_queued} queued")
    for trouble in status.troubles:
        yield warning("supervisor", f"{trouble}; it is tried again.", f"Its log says more: {home.supervisor_log}")
    yield from check_runs(home, known)


def check_socket(home: Home) -> Iterator[Finding]:
    """Whether only this user can enter the directory of the socket. Nothing is said where there is none yet."""
    directory = home.socket_directory
    if is_private(directory):
        yield good("socket", f"in {directory}, which only this user can enter")
    elif os.path.lexists(directory):
        yield problem("socket", f"{directory} is not a directory of this user's alone: others could answer in the supervisor's place.",
                      f"Look at it: ls -ld {directory}. If it is yours: chmod 700 {directory}")  # fmt: skip


def _known_jobs(home: Home) -> set[str]:
    """The ids of the jobs whose directories exist."""
    known = {job.id for job in ask(GetJobs()).jobs}
    for path in home.runs.iterdir():
        # A list of thousands of jobs leaves out old ones, which the supervisor knows all the same.
        if is_id(path.name) and path.name not in known and _is_known(path.name):
            known.add(path.name)
    return known


def _is_known(job_id: str) -> bool:
    try:
        ask(GetJob(job_id))
    except NotFound:
        return False
    return True
