"""Starting a job's processes: the runner, which starts the trainer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from saetui import runner
from saetui.failpoints import hit
from saetui.home import Home
from saetui.protocol.environment import child_environment, torch_environment
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.locks import try_lock

TRAINER = (sys.executable, "-m", "saetui.training")
"""The command of a trainer; the run directory is its argument."""


class StillAlive(Exception):
    """A process of an earlier start of the same job lives; it must not run twice."""


def launch(home: Home, run: RunDirectory, trainer: Sequence[str] = TRAINER) -> subprocess.Popen[bytes]:
    """Start the runner of a job, in a session of its own, so that neither a hang-up nor our end reaches it.

    The lock of the run directory is taken here and inherited by runner and trainer: there is no moment in which the job
    lives and its lock is free.

    Raises:
        StillAlive: the lock is held.
        OSError: the process cannot be started.
    """
    lock = try_lock(run.lock)
    if lock is None:
        raise StillAlive(str(run.path))
    try:
        hit("launch.spawn")
        with open(run.log, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", runner.__file__, str(run.path), "--", *trainer, str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=run.path,
                env=torch_environment(child_environment(home)),
                pass_fds=(lock,),
                start_new_session=True,
            )
        hit("launch.spawned")
        return process
    finally:
        os.close(lock)
