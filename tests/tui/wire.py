"""What each screen sends to the terminal, and what it costs, while jobs run and while nothing changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tui.real_terminal import Terminal
from tests.tui.streaming_program import listed_jobs, write_runs

SCREENS: dict[str, bytes] = {
    "jobs": b"",
    "charts of a job": b"\r",
    "sites": b"\r2",
    "checkpoints": b"\r3",
    "events": b"\r4",
    "log": b"\r5",
    "settings of a job": b"\r6",
    "new training": b"n",
    "list of models": b"n\r",
    "templates": b"t",
    "help": b"?",
    "help of a job": b"\r?",
    "palette": b":",
    "preferences": b",",
    "question": b"S",
    "question at a job": b"\rS",
}
"""Each screen and dialog, and the keys that lead there from the list of jobs."""

RUNNING = 8
_SETTLE_SECONDS = 1.5
_WRITE_SECONDS = 0.5


@dataclass(frozen=True)
class Cost:
    """Of a screen that is left alone: bytes a second on the wire, and the share of one core."""

    bytes_a_second: float
    cpu_share: float


@contextmanager
def streaming(home: Path, count: int, running: int) -> Iterator[Terminal]:
    """The TUI on jobs of which some run and write figures."""
    makers = write_runs(home, listed_jobs(home, max(running, 1), running))
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(_WRITE_SECONDS):
            for maker in makers[:running]:
                maker.train(maker.step + 10)

    writer = threading.Thread(target=write)
    writer.start()
    terminal = Terminal(["-m", "tests.tui.streaming_program", str(home), str(count), str(running)])
    try:
        terminal.read_until(lambda seen: b"topk" in seen)
        yield terminal
    finally:
        terminal.close()
        ended.set()
        writer.join()


def cost_of(terminal: Terminal, keys: bytes, seconds: float) -> Cost:
    """What a screen costs. The list of jobs is in front before and after."""
    terminal.press(keys)
    terminal.read_for(_SETTLE_SECONDS)
    before = terminal.cpu_seconds()
    count = terminal.read_for(seconds)
    cost = Cost(count / seconds, (terminal.cpu_seconds() - before) / seconds)
    terminal.press(b"\x1b[27u" * 3)
    terminal.read_for(0.5)
    return cost
