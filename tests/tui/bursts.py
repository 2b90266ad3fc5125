"""Random keys, written to a terminal at once or with pauses, beside the same keys typed slowly."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conditions import eventually
from tests.tui.burst_program import BurstApp

BYTES = {
    "escape": b"\x1b[27u",  # as terminals with the newer protocol send it: an escape before a letter is alt otherwise
    "enter": b"\r", "tab": b"\t", "shift+tab": b"\x1b[Z", "space": b" ", "backspace": b"\x7f", "delete": b"\x1b[3~",
    "left": b"\x1b[D", "right": b"\x1b[C", "up": b"\x1b[A", "down": b"\x1b[B", "home": b"\x1b[H", "end": b"\x1b[F",
    "pagedown": b"\x1b[6~", "pageup": b"\x1b[5~", "slash": b"/", "comma": b",", "full_stop": b".", "minus": b"-",
    "underscore": b"_", "question_mark": b"?", "colon": b":",
}  # fmt: skip
"""The bytes of keys that have a name; others are letters and ctrl+letter."""

EDITING = ("backspace", "left", "right", "home", "end", "delete", "ctrl+u", "ctrl+w", "ctrl+k")
_AT_REST = 4
"""So many reports in a row that say the same: nothing is under way."""

PAUSES = (0.0, 0.005, 0.04, 0.15)
"""Seconds between two keys: all in one packet, a fast and a slow line, a fast typist."""

LETTERS = (*"abcdefghijklmnoprstuvwxyzADRSX0123456789", "minus", "underscore", "full_stop", "space")
DIGITS = tuple("0123456789")


def encoded(key: str) -> bytes:
    """What a terminal sends for a key, by its name in Textual."""
    if key.startswith("ctrl+"):
        return bytes([ord(key[-1]) & 31])
    return BYTES.get(key) or key.encode()


@dataclass(frozen=True)
class Place:
    """A screen with a text field: the keys that lead there, and what is typed there.

    Attributes:
        opening: keys from the list of jobs.
        typed: keys of which most of a burst consists.
        moving: keys that leave the field or change it otherwise; a few in each burst.
    """

    opening: tuple[str, ...]
    typed: tuple[str, ...] = LETTERS
    moving: tuple[str, ...] = EDITING


PLACES: dict[str, Place] = {
    "the filter of jobs": Place(("slash",), moving=(*EDITING, "enter", "escape", "slash", "down")),
    "the form's first field": Place(("n",), moving=(*EDITING, "down", "up", "pagedown", "pageup")),
    "a number of the form": Place(
        ("n", "pagedown", "pagedown", "pagedown"), DIGITS, (*EDITING, "down", "up", "pagedown", "pageup", "ctrl+r")
    ),
    "the list of models": Place(("n", "enter"), moving=(*EDITING, "down", "up", "enter", "escape")),
    "saving the form as a template": Place(("n", "ctrl+s"), moving=(*EDITING, "tab", "shift+tab", "enter", "escape")),
    "the search of templates": Place(("t", "slash"), moving=(*EDITING, "enter", "escape", "slash", "down")),
    "importing templates": Place(("t", "i"), moving=(*EDITING, "enter", "escape")),
    "exporting a template": Place(("t", "e"), moving=(*EDITING, "escape")),
    "the palette": Place(("colon",), moving=("backspace", "escape", "down", "left")),
    "questions before something is lost": Place(
        ("S",), tuple("SDRpjkgnyezaA"), ("enter", "escape", "right", "left", "tab")
    ),
    "help and its pages": Place(("question_mark",), tuple("pjkGab"), ("escape", "down", "question_mark")),
    "the range of layers": Place(
        ("n", "pagedown", "down", "r"), (*DIGITS, "minus", "comma"), (*EDITING, "enter", "escape")
    ),
    "exporting SAEs": Place(("x",), moving=(*EDITING, "tab", "shift+tab", "escape")),
    "which checkpoints are kept": Place(("enter", "3", "K"), DIGITS, (*EDITING, "tab", "shift+tab", "enter", "escape")),
    "the search of a log": Place(("enter", "5", "slash"), moving=(*EDITING, "enter", "escape", "slash")),
}


def burst(place: Place, seed: int, length: int = 12) -> list[str]:
    """Random keys, those that open the place first."""
    chance = random.Random(seed)
    keys = [
        chance.choice(place.moving) if chance.random() < 0.25 else chance.choice(place.typed) for _ in range(length)
    ]
    return [*place.opening, *keys]


class Meant:
    """What keys mean: the state after the same keys, each typed when the app is at rest. Each burst is typed once."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}

    def by(self, keys: Sequence[str]) -> dict[str, Any]:
        if tuple(keys) not in self._known:
            self._known[tuple(keys)] = _typed_slowly(self._home, keys)
        return self._known[tuple(keys)]


def wrong_bursts(terminal: BurstTerminal, meant: Meant, place: str, pause: float, seeds: Iterable[int]) -> list[str]:
    """The bursts whose keys did not go where the same keys go when they are typed slowly, and what differs."""
    found = []
    for seed in seeds:
        keys = burst(PLACES[place], seed)
        got = terminal.type(keys, pause)
        terminal.begin_again()
        if got != (right := meant.by(keys)):
            differing = {name: (right[name], got[name]) for name in right if right[name] != got[name]}
            found.append(f"{' '.join(keys)}: {differing}")
    return found


def _typed_slowly(home: Path, keys: Sequence[str]) -> dict[str, Any]:
    async def type_them() -> dict[str, Any]:
        app = BurstApp(home)
        async with app.run_test(size=(120, 40)) as pilot:
            while not app.model.known:
                await pilot.pause(0.01)
            await pilot.pause(0.05)
            for key in keys:
                before = app.keys_taken
                app.post_message(_event(key))
                while app.is_running and app.keys_taken == before:
                    await pilot.pause(0.005)
                await pilot.pause(0.03)
            return await _at_rest(app, pilot)

    return asyncio.run(type_them())


async def _at_rest(app: BurstApp, pilot: Any) -> dict[str, Any]:
    earlier = None
    while (state := app.state()) != earlier:
        earlier = state
        await pilot.pause(0.05)
    plain: dict[str, Any] = json.loads(json.dumps(state))
    return plain


def _event(key: str) -> Any:
    from textual._xterm_parser import XTermParser

    return next(iter(XTermParser().feed(encoded(key).decode())))


class BurstTerminal:
    """A terminal of 120×40 in which the program runs."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._state = folder / "state.json"
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.burst_program", str(self.home), str(self._state)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._seen = b""
        self._apps = 1
        threading.Thread(target=self._drain, daemon=True).start()
        self._read(0, -1)

    def type(self, keys: Sequence[str], between: float) -> dict[str, Any]:
        """The state after keys with so many seconds between two of them; 0: all in one write."""
        sent = [encoded(key) for key in keys]
        for part in [b"".join(sent)] if between == 0 else sent:
            os.write(self._master, part)
            time.sleep(between)
        before, at_rest = self._read(len(keys), 0), 0
        while at_rest < _AT_REST:
            now = self._read(len(keys), before["number"])
            at_rest = at_rest + 1 if now["state"] == before["state"] else 0
            before = now
        return dict(before["state"])

    def begin_again(self) -> None:
        """Another app in the same process."""
        self._apps += 1
        self._process.send_signal(signal.SIGUSR1)
        self._read(0, -1)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self, keys: int, after: int) -> dict[str, Any]:
        """What the program wrote after its report of that number, once it has taken so many keys."""

        def report() -> dict[str, Any] | None:
            assert self._process.poll() is None, self._seen[-4000:].decode("utf-8", "replace")
            try:
                found: dict[str, Any] = json.loads(self._state.read_text())
            except FileNotFoundError:
                return None
            newer = found["app"] == self._apps and found["number"] > after
            return found if newer and found["keys"] >= keys else None

        found = eventually(report, seconds=60)
        assert found is not None
        return found

    def _drain(self) -> None:
        while True:
            try:
                select.select([self._master], [], [])
                self._seen = (self._seen + os.read(self._master, 65536))[-100_000:]
            except (OSError, ValueError):
                return


@contextmanager
def busy_machine(processes: int = 4) -> Iterator[None]:
    """Processes that take all the time they get."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
