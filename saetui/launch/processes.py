"""The processes of one job: found, watched, asked whether they live, and ended when they can save nothing any more."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial

from saetui.home import Home
from saetui.launch.identity import Identities, Identity, open_process, read_identities, send_signal
from saetui.launch.locks import is_held
from saetui.launch.presence import belongs, find_identities, is_deleted, working_directory
from saetui.rundir.layout import RunDirectory


class Processes:
    """Runner and trainer of a job. Nothing here waits for either.

    Attributes:
        found: both, once they are known.
    """

    def __init__(self, home: Home, run: RunDirectory, wake: Callable[[], None], patience: float) -> None:
        """`wake` is called from the event loop when one of them has ended.

        `patience`: the seconds that a runner may take to write identity.json before the kernel is asked.
        """
        self._home = home
        self._run = run
        self._wake = wake
        self._patience = patience
        self.found: Identities | None = None
        self._descriptors: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._ask_kernel_from = 0.0
        self._asked_to_stop = False

    @property
    def started_here(self) -> bool:
        """Whether this supervisor started them."""
        return self._child is not None

    def started(self, runner: subprocess.Popen[bytes]) -> None:
        """The runner is a child of this process, which must reap it."""
        self._child = runner
        self._ask_kernel_from = time.monotonic() + self._patience

    def attach(self) -> None:
        """Watch runner and trainer as soon as they are known: from identity.json or, later, from the kernel."""
        if self.found is not None:
            return
        for find in (partial(read_identities, self._run.identity), self._ask_kernel):
            found = find()
            if found is not None and self._watch({found.runner, found.trainer}):
                self.found = found
                return

    def alive(self) -> bool:
        """Whether the lock of the directory is held or a known process lives: the lock's file may have been removed."""
        if is_held(self._run.lock) or (self._child is not None and self._child.poll() is None):
            return True
        ended = select.poll()
        for descriptor in self._descriptors:
            ended.register(descriptor, select.POLLIN)
        return len(ended.poll(0)) < len(self._descriptors)

    def end_without_directory(self) -> None:
        """End a training whose directory is gone: kill it where the directory was deleted, else let it save and stop."""
        if self.found is None:
            return
        directory = working_directory(self.found.trainer)
        if directory is not None and is_deleted(directory):
            send_signal(self.found.trainer, signal.SIGKILL)
        elif not self._asked_to_stop:
            self._asked_to_stop = send_signal(self.found.trainer, signal.SIGTERM)

    def close(self) -> None:
        """Stop watching; the processes are not touched."""
        while self._descriptors:
            self._forget(self._descriptors[-1])

    def _watch(self, processes: set[Identity]) -> bool:
        """Watch those that live and are of this job; whether there is one."""
        for who in processes:
            descriptor = open_process(who)
            if descriptor is None:
                continue
            # Opened first, asked then. The files of a copied directory name processes of the original.
            if belongs(who, self._home, self._run.id):
                self._descriptors.append(descriptor)
                asyncio.get_running_loop().add_reader(descriptor, self._process_ended, descriptor)
            else:
                os.close(descriptor)
        return bool(self._descriptors)

    def _ask_kernel(self) -> Identities | None:
        """Search /proc, unless the job has only just been started, and not at every call."""
        now = time.monotonic()
        if now < self._ask_kernel_from:
            return None
        self._ask_kernel_from = now + self._patience
        return find_identities(self._home, self._run.id)

    def _process_ended(self, descriptor: int) -> None:
        self._forget(descriptor)
        self._wake()

    def _forget(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        self._descriptors.remove(descriptor)
        os.close(descriptor)
