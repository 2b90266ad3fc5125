"""`python -m tests.benchmarks.terminal`: the TUI through a pseudo-terminal of 120×40, on a source without a supervisor.

Told are, one table each: the bytes a second and the processor's share of every screen, with eight jobs that report ten steps a
second and with none; the time from a key to the screen with 1,000 jobs; the time to the first content beside a bare Textual
app's; the time to the charts of a long history; the resident memory; and how many of N random bursts of keys at each
place with a text field went astray, by the pause between two keys, on an idle machine and beside four busy processes.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.tui.bursts import PAUSES, PLACES, BurstTerminal, Meant, busy_machine, wrong_bursts
from tests.tui.real_terminal import Terminal
from tests.tui.streaming_program import listed_jobs, write_runs
from tests.tui.wire import RUNNING, SCREENS, cost_of, streaming

MANY_JOBS = 1000
KEYS = 200
STARTS = 5
_BARE = (
    "from textual.app import App\nfrom textual.widgets import Static\n"
    "class Bare(App):\n def compose(self):\n  yield Static('topk')\nBare().run(mouse=False)"
)


def wire(seconds: float) -> None:
    """Bytes and processor time of each screen."""
    print(f"{'screen':24}{'8 live: B/s':>14}{'CPU':>8}{'idle: B/s':>14}{'CPU':>8}")
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryDirectory() as quiet_home,
        streaming(Path(home), RUNNING, RUNNING) as running,
        streaming(Path(quiet_home), RUNNING, 0) as idle,
    ):
        for screen, keys in SCREENS.items():
            busy, still = cost_of(running, keys, seconds), cost_of(idle, keys, seconds)
            figures = f"{busy.bytes_a_second:14.0f}{busy.cpu_share:8.1%}"
            print(f"{screen:24}{figures}{still.bytes_a_second:14.0f}{still.cpu_share:8.1%}", flush=True)


def keys() -> None:
    """From a key to the screen: the cursor goes down and up in a list of 1,000 jobs, eight of which report."""
    with tempfile.TemporaryDirectory() as home, streaming(Path(home), MANY_JOBS, RUNNING) as terminal:
        terminal.read_for(2.0)
        times: list[float] = []
        chance = random.Random(0)
        for number in range(KEYS):
            terminal.read_for(chance.uniform(0.05, 0.4))
            times.append(1000 * terminal.seconds_until(b"j" if number % 20 < 10 else b"k", b"topk"))
        times.sort()
        middle, high = statistics.median(times), times[int(0.95 * len(times))]
        print(f"key to screen with {MANY_JOBS:,} jobs: median {middle:.0f} ms, 95th percentile {high:.0f} ms")
        print(f"resident memory: {terminal.resident_bytes() / 2**20:.0f} MiB")


def first_content() -> None:
    """From the start of Python to the first row, beside a Textual app with one line."""
    with tempfile.TemporaryDirectory() as home:
        write_runs(Path(home), listed_jobs(Path(home), RUNNING, 0))
        bare = _start_seconds(["-c", _BARE])
        own = _start_seconds(["-m", "tests.tui.streaming_program", home, str(RUNNING), "0"])
    print(f"first content: {own:.2f} s, a bare Textual app {bare:.2f} s, ratio {own / bare:.2f}")


def _start_seconds(arguments: Sequence[str]) -> float:
    times = []
    for _ in range(STARTS):
        terminal = Terminal(arguments)
        times.append(terminal.seconds_until(b"", b"topk"))
        terminal.close()
    return statistics.median(times)


def history(rows: int) -> None:
    """From enter on a job to its charts, with so many logged steps."""
    with tempfile.TemporaryDirectory() as home:
        (job,) = listed_jobs(Path(home), 1, 0)
        write_runs(Path(home), [job])[0].train(2000 + rows, every=1)
        terminal = Terminal(["-m", "tests.tui.streaming_program", home, "1", "0"])
        terminal.read_until(lambda seen: b"topk" in seen)
        seconds = terminal.seconds_until(b"\r", b"learning rate")
        print(f"a history of {rows:,} rows: {seconds:.2f} s, {terminal.resident_bytes() / 2**20:.0f} MiB")
        terminal.close()


def bursts(count: int) -> None:
    """Random bursts at every place, one after the other, by the pause between two keys."""
    with tempfile.TemporaryDirectory() as folder:
        terminal = BurstTerminal(Path(folder))
        meant = Meant(terminal.home)
        for pause in PAUSES:
            _count_wrong(terminal, meant, pause, count, f"{1000 * pause:.0f} ms between keys")
        with busy_machine():
            _count_wrong(terminal, meant, 0.0, count, "in one packet, beside four busy processes")
        terminal.close()


def _count_wrong(terminal: BurstTerminal, meant: Meant, pause: float, count: int, name: str) -> None:
    wrong = []
    for place in PLACES:
        wrong += wrong_bursts(terminal, meant, place, pause, range(1000, 1000 + count))
    print(f"bursts {name}: {len(wrong)} of {count * len(PLACES)} wrong", *wrong, sep="\n  ", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The TUI's bytes, times and keys.")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each screen")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the long history")
    parser.add_argument("--bursts", type=int, default=200, help="at each place and pause; 0: none")
    given = parser.parse_args()
    wire(given.seconds)
    keys()
    first_content()
    history(given.rows)
    if given.bursts:
        bursts(given.bursts)


if __name__ == "__main__":
    main()
