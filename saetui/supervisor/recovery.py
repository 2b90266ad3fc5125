"""What a supervisor does first: find every job that its predecessors left, running, ended or queued.

It survives anything that lies in the home. What fails for one directory or job is logged and tried again later. Nothing is
removed unless it is certain that saetui left it as rubbish.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.launch.locks import is_held
from saetui.rundir.layout import RunDirectory
from saetui.rundir.leftovers import Entry, Kind, classify_all, remove
from saetui.supervisor.attempts import never_started
from saetui.supervisor.jobs import Jobs
from saetui.supervisor.record import Record, acknowledge, rebuild
from saetui.supervisor.scheduler import Scheduler

log = logging.getLogger(__name__)


class Recovery:
    """Reconciles the recorded jobs with the run directories, and has the scheduler follow every job that may live."""

    def __init__(self, home: Home, jobs: Jobs, scheduler: Scheduler, *, store_is_sound: bool) -> None:
        """`store_is_sound`: whether the store knew every job that was ever acknowledged.

        Then a directory with the mark of a submission, which the store does not know, is half of a submission that nobody
        was told of.
        """
        self._home = home
        self._jobs = jobs
        self._scheduler = scheduler
        self._store_is_sound = store_is_sound
        self._undone: list[Callable[[], None]] = []
        self._deleted: list[Entry] = []
        self._rebuilt: dict[str, Record] = {}
        self._names: set[str] = set()

    def begin(self) -> None:
        """Go through all directories and jobs."""
        try:
            entries = classify_all(self._home.runs)
        except OSError as error:
            log.error("%s cannot be read: %s", self._home.runs, error)
            entries = []
        for entry in entries:
            self._try(partial(self._settle, entry), entry.shown)
        self._try(self._keep_rebuilt, "what was rebuilt")
        for record in self._jobs.records():
            self._try(partial(self._follow, record), f"job {record.id}")

    def go_on(self) -> bool:
        """Try again what could not be done. Returns whether everything is done."""
        undone, self._undone = self._undone, []
        for act in (*undone, self._keep_rebuilt):
            self._try(act)
        return not self._undone

    def remove_deleted(self) -> None:
        """Remove what is left of deleted jobs. It may be gigabytes: a thread of its own does that."""
        for entry in self._deleted:
            _remove(entry)

    def _try(self, act: Callable[[], None], subject: str | None = None) -> None:
        """Act; where the store has no room for it, remember to. `subject`: named in the log, the first time alone."""
        try:
            act()
        except HomeError as error:
            self._undone.append(act)
            if subject is not None:
                log.error("%s is recovered later: %s", subject, error)
        except Exception:
            log.exception("%s is left as it is", subject)

    def _settle(self, entry: Entry) -> None:
        """Rebuild a job that is not recorded, remove what is certainly ours, log everything else."""
        if entry.kind is Kind.FOREIGN:
            log.warning("%s %s; it is left alone", entry.shown, entry.what)
        elif entry.kind is Kind.DELETED:
            if entry.job_id in self._jobs and not self._home.run(entry.job_id).exists():
                # Hidden, and not forgotten yet: nobody was told that the job is deleted.
                log.info("job %s was being deleted: that is finished", entry.job_id)
                self._jobs.remove(entry.job_id)
            self._deleted.append(entry)
        elif entry.job_id in self._jobs and entry.path.name == entry.job_id:
            acknowledge(RunDirectory(entry.path))
        elif entry.kind is Kind.HALF_MADE and (self._store_is_sound or entry.path.name != entry.job_id):
            log.info("%s was never acknowledged and is removed", entry.shown)
            _remove(entry)
        elif entry.path.name == entry.job_id:
            self._rebuild(RunDirectory(entry.path))

    def _rebuild(self, run: RunDirectory) -> None:
        if run.id in self._jobs or run.id in self._rebuilt:
            return
        if self._store_is_sound and not _has_begun(run, 0):
            log.warning("%s holds no job that was ever started or recorded, and is left alone", run.path)
            return
        record = rebuild(run)
        if record is None:
            log.warning("%s holds no job of that name and is left alone", run.path)
            return
        self._names = self._names or self._jobs.names()
        if record.job.name in self._names:
            record = record.with_job(name=f"{record.job.name[:54]}_{record.id}")
        self._names.add(record.job.name)
        self._rebuilt[run.id] = record

    def _keep_rebuilt(self) -> None:
        """Record what was rebuilt, in one write for all of it: one for each job took minutes for thousands."""
        if not self._rebuilt:
            return
        records = list(self._rebuilt.values())
        self._jobs.add(*records)
        self._rebuilt, self._names = {}, set()
        for record in records:
            log.warning("job %s (%s) was rebuilt from its directory", record.id, record.job.name)
            self._try(partial(acknowledge, record.run), f"job {record.id}")

    def _follow(self, record: Record) -> None:
        if record.id not in self._jobs:
            return
        if record.job.status is Status.QUEUED and not record.clean and _has_begun(record.run, record.events_from):
            # The store is older than the start of the job.
            self._jobs.set_status(record.id, Status.STARTING)
            self._scheduler.follow(record.id)
        elif record.job.holds_device:
            self._scheduler.follow(record.id)


def _remove(entry: Entry) -> None:
    try:
        remove(entry)
    except OSError as error:
        log.warning("%s is left of a job that is deleted, and cannot be removed: %s", entry.shown, error)


def _has_begun(run: RunDirectory, events_from: int) -> bool:
    return is_held(run.lock) or not never_started(run, events_from)
