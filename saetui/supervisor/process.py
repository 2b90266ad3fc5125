"""The supervisor as a process: its arguments, its log, its lock, and one line when it cannot start."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import logging
import logging.handlers
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable

import msgspec

from saetui.errors import SaetuiError, SupervisorError
from saetui.formats.regular import read_regular
from saetui.home import LOCK_LIMIT, Home, find_home, served_root
from saetui.launch.local import TRAINER
from saetui.launch.locks import try_lock
from saetui.protocol.framing import failure_of
from saetui.supervisor.connection import SILENCE_SECONDS
from saetui.supervisor.listener import CHECK_SECONDS
from saetui.supervisor.memory_limit import give_back_freed_memory
from saetui.supervisor.scheduler import POLL_SECONDS
from saetui.supervisor.service import Service

LOG_BYTES = 256 << 10

PROBE_SECONDS = 0.2
"""A client that asks whether the lock is held holds it for an instant itself; no longer than this."""


def run(arguments: list[str]) -> int:
    """Serve the home that SAETUI_HOME names; the exit code."""
    parser = argparse.ArgumentParser(prog="saetui supervisor run", description="Serve SAETUI_HOME in the foreground.")
    parser.add_argument("--detach", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--trainer-command", type=shlex.split, default=TRAINER, help=argparse.SUPPRESS)
    parser.add_argument("--poll-seconds", type=float, default=POLL_SECONDS, help=argparse.SUPPRESS)
    parser.add_argument("--silence-seconds", type=float, default=SILENCE_SECONDS, help=argparse.SUPPRESS)
    parser.add_argument("--check-seconds", type=float, default=CHECK_SECONDS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    starter = _Starter(options.ready_fd)
    os.umask(0o077)
    # Until the loop handles it: a client that misses the socket sends this signal, which would end the process.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        home = find_home().make()
        lock = take_home_lock(home)
        _set_up_log(home, to_terminal=not options.detach)
        asyncio.run(_serve(home, lock, options, starter.ready))
        os.close(lock)
    except SaetuiError as error:
        starter.failed(error)
        return 1
    except OSError as error:
        starter.failed(SaetuiError(f"The supervisor cannot run: {error}."))
        return 1
    return 0


async def _serve(home: Home, lock: int, options: argparse.Namespace, ready: Callable[[], None]) -> None:
    give_back_freed_memory()
    poll, silence, check = options.poll_seconds, options.silence_seconds, options.check_seconds
    service = Service(home, lock, options.trainer_command, poll=poll, silence=silence, check=check)
    # What has been loaded stays: the garbage collector need not visit it again.
    gc.collect()
    gc.freeze()
    await service.run(ready)


def take_home_lock(home: Home) -> int:
    """Take the home's lock for life, and write this process's pid and the home's root into it. Returns the descriptor.

    By that root `find_home` recognises the home behind another path (a bind mount).

    Raises:
        SupervisorError: another supervisor has the lock.
    """
    descriptor = try_lock(home.supervisor_lock)
    deadline = time.monotonic() + PROBE_SECONDS
    while descriptor is None and time.monotonic() < deadline:
        time.sleep(0.01)
        descriptor = try_lock(home.supervisor_lock)
    if descriptor is None:
        content = read_regular(home.supervisor_lock, LOCK_LIMIT)
        pid = content.split(b"\n")[0].decode(errors="replace") or "unknown"
        raise SupervisorError(
            f"Another supervisor (pid {pid}) serves {served_root(content) or home.root}.",
            "Use it, or stop it with `saetui supervisor stop` (trainings go on).",
        )
    # We never remove the file; whoever removes the home does: see `Service.still_serves`.
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n%s\n" % (os.getpid(), os.fsencode(home.root)), 0)
    return descriptor


class _Starter:
    """What started this process: a client at the other end of a pipe, or a person at a terminal."""

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        self._write(b"ready")

    def failed(self, error: SaetuiError) -> None:
        sys.stderr.write(f"saetui: {error}\n")
        self._write(msgspec.json.encode(failure_of(error)))

    def _write(self, content: bytes) -> None:
        if self._pipe is not None:
            os.write(self._pipe, content)
            os.close(self._pipe)
            self._pipe = None


def _set_up_log(home: Home, *, to_terminal: bool) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler()] if to_terminal else []
    try:
        if home.supervisor_log.exists() and not home.supervisor_log.is_file():
            raise OSError(errno.EEXIST, "it is no file", str(home.supervisor_log))
        file = logging.handlers.RotatingFileHandler(
            home.supervisor_log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
        home.supervisor_log.chmod(0o600)
        handlers.append(file)
    except OSError as error:
        # The supervisor serves without a log too.
        sys.stderr.write(f"saetui: the supervisor cannot write its log: {error}\n")
        handlers = handlers or [logging.StreamHandler()]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(process)d %(message)s", handlers=handlers
    )
