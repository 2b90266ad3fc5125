"""Random keys, sizes and deaths of the supervisor: `python -m tests.tui.monkey [--seconds 600] [--seed N]`.

The real program runs in a pseudo-terminal beside a supervisor and small trainers. Exits 1 when the program ended by itself
or no longer answers; the seed that is told makes the same choices again.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import random
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from saetui.child_processes import child_environment
from saetui.client.lifecycle import holder_of
from saetui.jobs.job import Status
from tests.supervisor import trainer
from tests.supervisor.conftest import Machine
from tests.tui.bursts import BYTES, encoded
from tests.tui.real_terminal import Terminal

PROGRAM = "from saetui.home import find_home; from saetui.tui.session import run; raise SystemExit(run(find_home()))"
SIZES = ((10, 4), (20, 8), (34, 20), (40, 10), (40, 12), (60, 16), (80, 24), (120, 40), (200, 60))
NAMED = (
    *BYTES,
    "f1",
    "ctrl+d",
    "ctrl+e",
    "ctrl+f",
    "ctrl+g",
    "ctrl+n",
    "ctrl+p",
    "ctrl+r",
    "ctrl+s",
    "ctrl+u",
    "ctrl+w",
)
LETTERS = tuple(
    "abcefghijklmnoprstuvwxyzADGJKNRSTX0123456789[]<>+=-*'"
)  # neither q, which leaves, nor d, the real demo
_MORE = {"f1": b"\x1bOP"}


@dataclass
class Played:
    """What was done: keys, resizes, killed supervisors, programs that were left and opened again."""

    keys: int = 0
    resizes: int = 0
    kills: int = 0


class Fell(AssertionError):
    """The program ended by itself, or does not answer."""


def play(folder: Path, seconds: float, seed: int) -> Played:
    """Play for so long.

    Raises:
        Fell: with the seed, the last keys and the last output.
    """
    chance = random.Random(seed)
    played = Played()
    last: list[str] = []
    with _machine(folder) as machine:
        terminal = _open(machine, folder)
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                last = (last + _one_move(chance, terminal, machine, played))[-60:]
                terminal.read_for(chance.choice((0.0, 0.05, 0.2, 0.5)))
                if terminal.process.poll() is not None:
                    raise Fell(_told("ended by itself", seed, last, terminal))
            if not _leaves(terminal):
                raise Fell(_told(f"does not answer: exit {terminal.process.poll()}", seed, last, terminal))
        finally:
            terminal.close()
    return played


def _leaves(terminal: Terminal) -> bool:
    """Whether it ends well when it is left by keys. What was typed before comes first."""
    _resize(terminal, 80, 24)
    for _ in range(4):
        terminal.press(encoded("escape") * 40 + b"q")
        deadline = time.monotonic() + 30.0
        while terminal.process.poll() is None and time.monotonic() < deadline:
            terminal.read_for(0.1)
        if terminal.process.poll() is not None:
            break
    return terminal.process.poll() == 0


def _one_move(chance: random.Random, terminal: Terminal, machine: Machine, played: Played) -> list[str]:
    """A burst of keys, mostly; a resize; now and then the death of the supervisor. Returns what was done."""
    kind = chance.random()
    if kind < 0.08:
        columns, rows = chance.choice(SIZES)
        _resize(terminal, columns, rows)
        played.resizes += 1
        return [f"{columns}x{rows}"]
    if kind < 0.09:
        holder = holder_of(machine.home)
        if holder is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(holder, 9)
            played.kills += 1
        return ["kill"]
    keys = [chance.choice(NAMED if chance.random() < 0.5 else LETTERS) for _ in range(chance.randint(1, 8))]
    keys = ["escape" if key == "ctrl+g" and chance.random() < 0.8 else key for key in keys]
    terminal.press(b"".join(_MORE.get(key) or encoded(key) for key in keys))
    played.keys += len(keys)
    return keys


@contextlib.contextmanager
def _machine(folder: Path) -> Iterator[Machine]:
    """A supervisor with a few jobs; one trains until it is stopped."""
    machine = Machine(folder)
    machine.start()
    try:
        done = machine.submit(steps=20, name="done")
        machine.until(done.id, Status.COMPLETED)
        machine.until(machine.submit(trainer.FAILS, name="failed").id, Status.FAILED)
        for number in range(4):
            machine.submit(name=f"long-{number}")
        yield machine
    finally:
        machine.clean()


def _open(machine: Machine, folder: Path) -> Terminal:
    (folder / "here").mkdir()
    start = f"import os; os.chdir({str(folder / 'here')!r}); {PROGRAM}"
    terminal = Terminal(["-c", start], child_environment(machine.home))
    terminal.read_until(lambda seen: b"long-0" in seen)
    return terminal


def _resize(terminal: Terminal, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _told(what: str, seed: int, last: list[str], terminal: Terminal) -> str:
    seen = terminal.seen[-3000:].decode("utf-8", "replace")
    return f"The program {what}. Seed {seed}; the last moves: {' '.join(last)}\n{seen}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Random keys, sizes and deaths of the supervisor.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            print(f"seed {given.seed}: {play(Path(folder), given.seconds, given.seed)}")
        except Fell as fall:
            print(fall, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
