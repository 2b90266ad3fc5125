"""What a supervisor does first: find every job that its predecessors left, living, ended or waiting.

It survives whatever lies in the home. What fails for one directory or job is said, and tried again later; of what is not
provably rubbish of our own nothing is removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.launch.locks import is_held
from saetui.rundir.layout import RunDirectory
from saetui.rundir.leftovers import Entry, Kind, classify_all, remove
from saetui.supervisor.attempts import never_started, run_of
from saetui.supervisor.jobs import Board
from saetui.supervisor.record import Record, rebuild
from saetui.supervisor.scheduler import Workforce

log = logging.getLogger(__name__)


class Adoption:
    """Brings board and run directories together, and hands over to the workforce whatever may live."""

    def __init__(self, home: Home, board: Board, workforce: Workforce, *, store_is_sound: bool) -> None:
        """What is adopted.

        Args:
            home: whose run directories.
            board: the jobs that the store knows.
            workforce: follows the adopted ones.
            store_is_sound: whether the store knew every job that was ever acknowledged. When it did, a directory that has
                the mark of a submission, and that it does not know, is half of one that nobody was told of.
        """
        self._home = home
        self._board = board
        self._workforce = workforce
        self._store_is_sound = store_is_sound
        self._undone: list[Callable[[], None]] = []
        self._rubbish: list[Entry] = []

    def begin(self) -> None:
        """Look over all that is there."""
        for entry in self._entries():
            self._try(lambda entry=entry: self._settle(entry), entry.shown)  # type: ignore[misc]
        for record in self._board.records():
            self._try(lambda record=record: self._adopt(record), f"job {record.id}")  # type: ignore[misc]

    def go_on(self) -> bool:
        """Try again what could not be done; whether all is."""
        undone, self._undone = self._undone, []
        for act in undone:
            self._try(act)
        return not self._undone

    def clear_away(self) -> None:
        """Remove what is left of deleted jobs. It may be gigabytes: a thread of its own does that."""
        for entry in self._rubbish:
            _remove(entry)

    def _try(self, act: Callable[[], None], what: str | None = None) -> None:
        """Do something; when the store has no room for it, remember it. `what`: said then; not said again."""
        try:
            act()
        except HomeError as error:
            self._undone.append(act)
            if what is not None:
                log.error("%s is taken in later: %s", what, error)
        except Exception:
            log.exception("%s is left as it is", what)

    def _entries(self) -> list[Entry]:
        try:
            return classify_all(self._home.runs)
        except OSError as error:
            log.error("%s cannot be looked over: %s", self._home.runs, error)
            return []

    def _settle(self, entry: Entry) -> None:
        """Take in a job that the board does not know, remove what is provably ours, say what else is there."""
        if entry.kind is Kind.FOREIGN:
            log.warning("%s %s; it is left alone", entry.shown, entry.what)
        elif entry.kind is Kind.DELETED:
            self._finish_deletion(entry)
        elif entry.job_id in self._board and entry.path.name == entry.job_id:
            _acknowledge(RunDirectory(entry.path))
        elif entry.kind is Kind.HALF_MADE and (self._store_is_sound or entry.path.name != entry.job_id):
            log.info("%s was never acknowledged and is removed", entry.shown)
            _remove(entry)
        elif entry.path.name == entry.job_id:
            self._take_in(RunDirectory(entry.path))

    def _finish_deletion(self, entry: Entry) -> None:
        if entry.job_id in self._board and not self._home.run(entry.job_id).exists():
            # Hidden, and not forgotten: whoever asked for it was not told yet that it is done.
            log.info("job %s was being deleted: that is finished", entry.job_id)
            self._board.remove(entry.job_id)
        self._rubbish.append(entry)

    def _take_in(self, run: RunDirectory) -> None:
        if run.id in self._board:
            return
        if self._store_is_sound and not _has_begun(run, 0):
            log.warning("%s holds no job that was ever started or recorded, and is left alone", run.path)
            return
        record = rebuild(run)
        if record is None:
            log.warning("%s holds no job of that name and is left alone", run.path)
            return
        if record.job.name in self._board.names():
            job = msgspec.structs.replace(record.job, name=f"{record.job.name[:54]}_{record.id}")
            record = msgspec.structs.replace(record, job=job)
        log.warning("job %s (%s) was rebuilt from its directory", record.id, record.job.name)
        self._board.add(record)
        _acknowledge(run)

    def _adopt(self, record: Record) -> None:
        if record.id not in self._board:
            return
        if record.job.status is Status.QUEUED and not record.clean and _has_begun(run_of(record), record.events_from):
            # The store is older than what happened.
            self._board.move(record.id, Status.STARTING)
            self._workforce.adopt(record)
        elif record.job.holds_device:
            self._workforce.adopt(record)


def _acknowledge(run: RunDirectory) -> None:
    try:
        run.acknowledge()
    except OSError as error:
        log.warning("%s: the mark of its submission stays for now: %s", run.path, error)


def _remove(entry: Entry) -> None:
    try:
        remove(entry)
    except OSError as error:
        log.warning("%s is left of a job that is no more, and cannot be removed: %s", entry.shown, error)


def _has_begun(run: RunDirectory, events_from: int) -> bool:
    return is_held(run.lock) or not never_started(run, events_from)
