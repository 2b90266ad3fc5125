"""Removing the directories of deleted jobs: each is hidden in one step, then removed bit by bit."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from saetui.errors import HomeError
from saetui.failpoints import hit
from saetui.rundir.layout import RunDirectory, require_own_directory
from saetui.rundir.leftovers import Kind, classify, printable, remove_hidden
from saetui.supervisor.record import Record, copy_path, write_copy

log = logging.getLogger(__name__)


class Hidden(NamedTuple):
    """The directory of a job, by name of the job, and the path where it is hidden: one that never means a job."""

    name: str
    path: Path
    hidden: Path


def hide_all(records: Sequence[Record]) -> list[Hidden]:
    """Hide the directories of jobs that are to be deleted: all, or none. A directory that is gone is no obstacle.

    Raises:
        HomeError: one cannot be hidden; all are as they were.
    """
    done: list[Hidden] = []
    for record in records:
        run = record.run
        if not run.path.is_dir() and not run.path.is_symlink():
            # It is gone, or something else is in its place.
            continue
        hidden = run.path.with_name(f".{record.id}.{secrets.token_hex(4)}.deleted")
        try:
            require_own_directory(run)
            _ensure_copy(run, record)
            hit("run.hide")
            os.rename(run.path, hidden)
        except OSError as error:
            show_again(done)
            raise HomeError(
                f"{record.job.name} ({record.job.state}): {printable(run.path)} cannot be removed: "
                f"{error.strerror or error}. Nothing was deleted.",
                "Check that it is the job's own and that this user may rename it (ls -ld, lsattr -d), then delete it again.",
            ) from error
        done.append(Hidden(record.job.name, run.path, hidden))
    return done


def show_again(hidden: Iterable[Hidden]) -> None:
    """The jobs are not deleted after all."""
    for one in hidden:
        try:
            os.rename(one.hidden, one.path)
        except OSError as error:
            log.error("%s could not be renamed to %s again: %s", one.hidden, one.path, error)


def remove_for_good(name: str, path: Path, hidden: Path) -> str | None:
    """Remove a hidden directory. Returns a sentence about what is left of it, and why; None where nothing is."""
    target = os.path.realpath(hidden) if hidden.is_symlink() else None
    try:
        remove_hidden(hidden)
    except OSError as error:
        log.warning("%s could not be removed whole: %s", hidden, error)
        return f"{name}: {printable(hidden)} ({error.strerror or error})."
    if target is not None and os.path.lexists(target):
        return f"{name}: its directory was a link, and its target is left: {printable(target)}."
    return None


def _ensure_copy(run: RunDirectory, record: Record) -> None:
    """Make sure that the directory names its job, so that a later start may remove what is left of it."""
    if classify(run.path).kind is not Kind.JOB or copy_path(run).is_file():
        return
    try:
        write_copy(record)
    except OSError as error:
        log.warning("%s could not be marked as that of a deleted job: %s", run.path, error)
