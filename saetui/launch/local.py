"""Starting a job's processes: the runner, which starts the trainer."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence

from saetui import runner
from saetui.child_processes import child_environment, torch_environment
from saetui.failpoints import hit
from saetui.home import Home
from saetui.launch.identity import opened, read_identities
from saetui.launch.locks import try_lock
from saetui.launch.presence import JOB_VARIABLE, belongs, find_living
from saetui.rundir.layout import RunDirectory, require_own_directory

TRAINER = (sys.executable, "-m", "saetui.training")
"""The command of a trainer; its argument is the run directory."""


class StillAlive(Exception):
    """A process of an earlier start of the same job lives; the job must not run twice."""


def launch(home: Home, run: RunDirectory, trainer: Sequence[str] = TRAINER) -> subprocess.Popen[bytes]:
    """Start the runner of a job in a session of its own, so that neither a hang-up nor our end reaches it.

    The lock of the run directory is taken here, and runner and trainer inherit it: the lock is never free while the job
    lives.

    Raises:
        StillAlive: the lock is held, or a process of the job lives without it.
        OSError: the process cannot be started, or something that is no file is where one is to be written.
    """
    lock = try_lock(run.lock)
    if lock is None:
        raise StillAlive(str(run.path))
    try:
        # The lock's file may have been removed while it was held, and made again just now.
        if _lives(home, run):
            raise StillAlive(str(run.path))
        _require_usable(run)
        hit("launch.spawn")
        with open(run.log, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", runner.__file__, str(run.path), "--", *trainer, str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=run.path,
                env={**torch_environment(child_environment(home)), JOB_VARIABLE: run.id},
                pass_fds=(lock,),
                start_new_session=True,
            )
        hit("launch.spawned")
        return process
    finally:
        os.close(lock)


def _lives(home: Home, run: RunDirectory) -> bool:
    recorded = read_identities(run.identity)
    for who in (recorded.trainer, recorded.runner) if recorded is not None else ():
        with opened(who) as descriptor:
            if descriptor is not None and belongs(who, home, run.id):
                return True
    return bool(find_living(home, [run.id]))


def _require_usable(run: RunDirectory) -> None:
    for path in (run.spec, run.identity, run.exit, run.log, run.events, run.control):
        if os.path.lexists(path) and not path.is_file():
            raise OSError(errno.EEXIST, "something that is no file is in the way", str(path))
    if not run.spec.exists():
        # Somebody made the directory anew: there is nothing in it to train.
        raise FileNotFoundError(errno.ENOENT, "it was removed", str(run.spec))
    require_own_directory(run)
