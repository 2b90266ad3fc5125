"""Ends every process that a run of pytest has started, however pytest itself ends: by SIGTERM or SIGKILL too.

Supervisors, runners and trainers live in sessions of their own, so nothing ends them with their parent. A process that
outlives pytest waits for its end and then kills whatever carries the run's mark in its environment.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

VARIABLE = "SAETUI_TEST_SESSION"
_QUIET_SECONDS = 0.5
"""A process that is just being started shows its environment a moment later."""


def watch() -> int:
    """Mark what this process starts from now on, and start the reaper; returns the file descriptor that it waits for."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    mark = os.environ[VARIABLE] = secrets.token_hex(8)
    ours_at_the_end, ours = os.pipe()
    subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, mark],
        stdin=ours_at_the_end,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
        cwd="/",
    )
    os.close(ours_at_the_end)
    return ours


def started_with(variable: str, value: str) -> list[int]:
    """The other processes that have a variable with this value in the environment that they were started with."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or is another user's
        if wanted in environment:
            found.append(int(entry.name))
    return found


def reap(mark: str) -> None:
    """Kill them all, until none has come for a moment."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_SECONDS:
        for process in started_with(VARIABLE, mark):
            quiet_since = time.monotonic()
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


if __name__ == "__main__":
    while os.read(0, 1):
        pass
    reap(sys.argv[1])
