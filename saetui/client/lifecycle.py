"""The supervisor as a process: find it, start it, ask for its status, stop it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from saetui.child_processes import child_environment
from saetui.client.blocking_client import BlockingClient
from saetui.client.liveness import is_stopped, unresponsive
from saetui.client.wire import NotRunning, connect_socket
from saetui.errors import SupervisorError
from saetui.formats.regular import open_regular
from saetui.home import Home, find_home
from saetui.protocol.framing import error_of
from saetui.protocol.messages import Failure, GetStatus, Shutdown, SupervisorStatus

START_SECONDS = 20.0
"""How long a start may take: a cold disk on a small board is slow."""

POLL_SECONDS = 0.05
READY = b"ready"


def ensure_supervisor(home: Home | None = None, arguments: Sequence[str] = ()) -> None:
    """Start a supervisor when none runs, and return when it can be reached.

    Several clients may call this at once: one of them starts the supervisor, the others wait for that.

    Args:
        home: the home to serve.
        arguments: for the supervisor's command line.

    Raises:
        HomeError: SAETUI_HOME cannot be used.
        SupervisorError: it could not be started, with the reason.
    """
    home = home or find_home()
    if reachable(home):
        return
    home.make()
    deadline = time.monotonic() + START_SECONDS
    with open(home.start_lock, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as lock:
        _lock_before(deadline, lock.fileno(), home)
        while not reachable(home):
            holder = holder_of(home)
            if holder is None:
                _start(home, arguments, deadline)
            else:
                # It lives and cannot be reached: it is starting, it is leaving, or its socket was removed.
                _signal(holder, signal.SIGUSR1)
                time.sleep(POLL_SECONDS)
            if time.monotonic() > deadline:
                raise unreachable(home)


def unreachable(home: Home) -> SupervisorError:
    """The error for a supervisor that lives and accepts no connection."""
    holder = holder_of(home)
    if holder is not None and is_stopped(holder):
        return unresponsive(holder, START_SECONDS)
    who = "The supervisor" if holder is None else f"The supervisor (pid {holder})"
    return SupervisorError(f"{who} of {home.root} cannot be reached.", f"Its log is {home.supervisor_log}.")


def reachable(home: Home) -> bool:
    """Whether a supervisor answers at the home's socket."""
    try:
        connect_socket(home).close()
    except NotRunning:
        return False
    return True


def holder_of(home: Home) -> int | None:
    """The pid of the supervisor that holds the home's lock; None when none does.

    The kernel releases the lock when its holder ends, so the pid is that of a process that lives.
    """
    try:
        with open_regular(home.supervisor_lock) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.readline().strip()
                return int(text) if text.isdigit() else None
    except OSError:
        return None
    return None


def supervisor_status(home: Home | None = None) -> SupervisorStatus | None:
    """The supervisor's status; None when none runs. Never starts one."""
    try:
        with BlockingClient.connect(home) as client:
            return client.request(GetStatus())
    except NotRunning:
        return None


def stop_supervisor(home: Home | None = None, timeout: float = 10.0) -> int | None:
    """Stop the supervisor, and wait until its process has ended; trainings go on.

    Returns:
        The pid of the supervisor; None when none ran.

    Raises:
        SupervisorError: it has not ended within the timeout (seconds).
    """
    home = home or find_home()
    pid = holder_of(home)
    if pid is None:
        return None
    try:
        with BlockingClient.connect(home) as client:
            client.request(Shutdown())
    except NotRunning:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while holder_of(home) == pid:
        if time.monotonic() > deadline:
            if is_stopped(pid):
                raise unresponsive(pid, timeout)
            raise SupervisorError(f"The supervisor (pid {pid}) does not stop.", f"Its log is {home.supervisor_log}.")
        time.sleep(POLL_SECONDS)
    return pid


def run_supervisor(home: Home | None = None) -> NoReturn:
    """Turn this process into the supervisor, in the foreground."""
    home = home or find_home()
    command = [sys.executable, "-m", "saetui.supervisor"]
    os.execve(sys.executable, command, child_environment(home))


def _signal(holder: int, number: signal.Signals) -> None:
    """Signal the lock's holder, which may have died meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, number)


def _lock_before(deadline: float, descriptor: int, home: Home) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SupervisorError(
                    f"Another client has been starting the supervisor of {home.root} for {START_SECONDS:g} s.",
                    f"Try again; its log is {home.supervisor_log}.",
                ) from None
            time.sleep(POLL_SECONDS)


def _start(home: Home, arguments: Sequence[str], deadline: float) -> None:
    """Start a supervisor that is no child of this process, and wait until it reports how its start went.

    The new process makes the second fork itself: this one may have threads, and a fork with threads is not safe.
    """
    reading, writing = os.pipe()
    try:
        with open(home.supervisor_log, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "saetui.supervisor", "--detach", f"--ready-fd={writing}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=child_environment(home),
                pass_fds=(writing,),
                start_new_session=True,
            )
        os.close(writing)
        writing = -1
        process.wait()
        report = _read_report(reading, deadline, home)
    except OSError as error:
        raise SupervisorError(
            f"The supervisor could not be started: {error}.", "Correct what the message names."
        ) from error
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    if report == READY:
        return
    if not report:
        raise SupervisorError("The supervisor ended during its start.", f"Its log is {home.supervisor_log}.")
    failure = msgspec.json.decode(report, type=Failure)
    # A supervisor that found another one in its place has failed, and the home is served all the same.
    if failure.kind != SupervisorError.kind or holder_of(home) is None:
        raise error_of(failure)


def _read_report(descriptor: int, deadline: float, home: Home) -> bytes:
    report = b""
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(descriptor, 65536)
        if not part:
            return report
        report += part
    way_out = f"Its log is {home.supervisor_log}."
    raise SupervisorError(f"The supervisor was not ready within {START_SECONDS:g} s.", way_out)
