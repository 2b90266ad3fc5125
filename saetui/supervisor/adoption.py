"""What a supervisor does first: find every job that its predecessors left, living, ended or waiting."""

from __future__ import annotations

import logging
import shutil

import msgspec

from saetui.home import Home
from saetui.jobs.job import JobError, Status
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.board import Board
from saetui.supervisor.locks import is_held
from saetui.supervisor.record import rebuild
from saetui.supervisor.tries import never_started
from saetui.supervisor.workforce import Workforce

log = logging.getLogger(__name__)


def adopt_all(home: Home, board: Board, workforce: Workforce, *, store_is_sound: bool) -> None:
    """Bring board and run directories together, and hand over to the workforce whatever may live.

    Args:
        home: whose run directories.
        board: the jobs that the store knows.
        workforce: follows the adopted ones.
        store_is_sound: whether the store knew every job that was ever acknowledged. When it did, a directory that it does
            not know and that never had a trainer is half of a submission that nobody was told of, and is removed.
    """
    sweep(home)
    for run in directories(home):
        if run.path.name not in board:
            _take_in(run, board, store_is_sound=store_is_sound)
    for record in board.records():
        run = RunDirectory(home.runs / record.id)
        status = record.job.status
        if status is Status.QUEUED and not record.clean and _has_begun(run, record.events_from):
            # The store is older than what happened.
            board.move(record.id, Status.STARTING)
            workforce.adopt(record)
        elif record.job.holds_device:
            workforce.adopt(record)
        elif status is Status.QUEUED and not run.spec.exists():
            board.move(record.id, Status.FAILED, _vanished(run))


def directories(home: Home) -> list[RunDirectory]:
    """The run directories, oldest first."""
    found = [path for path in home.runs.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [RunDirectory(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def sweep(home: Home) -> None:
    """Remove what an interrupted creation or removal of a directory left."""
    for path in home.runs.glob(".*"):
        if path.name.endswith((".new", ".deleted")):
            shutil.rmtree(path)


def _take_in(run: RunDirectory, board: Board, *, store_is_sound: bool) -> None:
    if store_is_sound and not _has_begun(run, 0):
        log.info("%s was never acknowledged and is removed", run.path)
        shutil.rmtree(run.path)
        return
    record = rebuild(run)
    if record is None:
        log.warning("%s holds no job and is left alone", run.path)
        return
    names = board.names()
    if record.job.name in names:
        job = msgspec.structs.replace(record.job, name=f"{record.job.name[:54]}_{record.id}")
        record = msgspec.structs.replace(record, job=job)
    log.warning("job %s (%s) was rebuilt from its directory", record.id, record.job.name)
    board.add(record)


def _has_begun(run: RunDirectory, events_from: int) -> bool:
    return is_held(run.lock) or not never_started(run, events_from)


def _vanished(run: RunDirectory) -> JobError:
    return JobError(
        kind="home", message=f"Its directory {run.path} is gone.", suggestion="Delete the job, and submit it anew."
    )
