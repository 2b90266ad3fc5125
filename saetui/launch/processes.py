"""The processes of one job: found, watched, asked whether they live, and ended when nothing they do can be kept."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable

from saetui.home import Home
from saetui.launch.identity import Identities, Identity, open_process, read_identities, send_signal
from saetui.launch.locks import is_held
from saetui.launch.presence import belongs, directory_of, find_identities, is_deleted
from saetui.rundir.layout import RunDirectory

PATIENCE = 2.0
"""Seconds that a job's directory may be away, and that a runner may take to write identity.json before the kernel is asked."""


class Processes:
    """Runner and trainer of a job. Nothing here waits for either.

    Attributes:
        who: both, once it is known who they are.
    """

    def __init__(self, home: Home, run: RunDirectory, wake: Callable[[], None], patience: float = PATIENCE) -> None:
        """`wake` is called from the event loop when one of them has ended; `patience` is in seconds."""
        self._home = home
        self._run = run
        self._wake = wake
        self._patience = patience
        self.who: Identities | None = None
        self._descriptors: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._ask_from = 0.0
        self._end_asked = False

    @property
    def ours(self) -> bool:
        """Whether this supervisor started them."""
        return self._child is not None

    def owns(self, child: subprocess.Popen[bytes]) -> None:
        """The runner is a child of this process, which must reap it."""
        self._child = child
        self._ask_from = time.monotonic() + self._patience

    def attach(self) -> None:
        """Watch runner and trainer as soon as it is known who they are."""
        if self.who is not None:
            return
        for ask in (self._read_identities, self._ask_for_identities):
            found = ask()
            if found is not None and self._watch({found.runner, found.trainer}):
                self.who = found
                return

    def live(self) -> bool:
        """Whether the lock of the directory is held or a process is known to live: the lock's file may have been removed."""
        if is_held(self._run.lock) or (self._child is not None and self._child.poll() is None):
            return True
        ended = select.poll()
        for descriptor in self._descriptors:
            ended.register(descriptor, select.POLLIN)
        return len(ended.poll(0)) < len(self._descriptors)

    def end(self) -> None:
        """End what trains in a directory that is gone: to save and stop, where that can be kept; at once, otherwise."""
        if self.who is None:
            return
        directory = directory_of(self.who.trainer)
        if directory is not None and is_deleted(directory):
            send_signal(self.who.trainer, signal.SIGKILL)
        elif not self._end_asked:
            self._end_asked = send_signal(self.who.trainer, signal.SIGTERM)

    def close(self) -> None:
        """Stop watching; the processes are not touched."""
        for descriptor in self._descriptors:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        self._descriptors.clear()

    def _watch(self, processes: set[Identity]) -> bool:
        """Watch those that live and are of this job; whether there is one."""
        for who in processes:
            descriptor = open_process(who)
            if descriptor is None:
                continue
            # Opened first, asked then: the files of a copied directory name processes of the original.
            if belongs(who, self._home, self._run.id):
                self._descriptors.append(descriptor)
                asyncio.get_running_loop().add_reader(descriptor, self._process_ended, descriptor)
            else:
                os.close(descriptor)
        return bool(self._descriptors)

    def _read_identities(self) -> Identities | None:
        return read_identities(self._run.identity)

    def _ask_for_identities(self) -> Identities | None:
        """Ask the kernel where identity.json does not say it, unless the job has only just been started."""
        now = time.monotonic()
        if now < self._ask_from:
            return None
        self._ask_from = now + self._patience
        return find_identities(self._home, self._run.id)

    def _process_ended(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        self._descriptors.remove(descriptor)
        os.close(descriptor)
        self._wake()
