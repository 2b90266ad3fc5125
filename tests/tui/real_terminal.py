"""A pseudo-terminal with a program in it: what travels over the wire, and what the program costs."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import psutil

from tests.conditions import eventually


class Terminal:
    """A terminal in which a Python program runs."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] = os.environ,
        *,
        columns: int = 120,
        rows: int = 40,
        controlling: bool = True,
    ) -> None:
        """
        Args:
            arguments: of Python.
            controlling: whether the program learns from a signal that its terminal is gone.
        """
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if controlling else None,
        )
        os.close(slave)
        self.seen = b""

    def read_for(self, seconds: float) -> int:
        """Read what comes in this time. Returns how many bytes it was."""
        end = time.monotonic() + seconds
        count = 0
        while (left := end - time.monotonic()) > 0:
            count += self._read(left)
        return count

    def read_until(self, condition: Callable[[bytes], bool]) -> None:
        """Read until all that was seen so far fulfils the condition."""

        def reached() -> bool:
            self._read(0.05)
            return condition(self.seen)

        eventually(reached, seconds=60)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def seconds_until(self, keys: bytes, text: bytes) -> float:
        """Press keys, and measure how long it takes until the terminal gets the text."""
        start = len(self.seen)
        began = time.perf_counter()
        self.press(keys)
        while text not in self.seen[start:]:
            assert self._read(30.0), f"{text!r} never came"
        return time.perf_counter() - began

    def cpu_seconds(self) -> float:
        """The processor time that the program has taken so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)

    def _read(self, seconds: float) -> int:
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return 0
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return 0  # the other end has gone
        self.seen += data
        return len(data)
