"""The supervisor: everything of it put together, from the lock to the last goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from saetui.devices.device import read_device
from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.damage import record_damage
from saetui.launch.local import TRAINER
from saetui.launch.locks import still_ours
from saetui.launch.presence import place_of
from saetui.protocol.messages import DeviceChanged, DeviceReading, Request, Result, Snapshot, Subscribe
from saetui.supervisor.auto_resume import Revival
from saetui.supervisor.background import Background
from saetui.supervisor.broadcast import Hub
from saetui.supervisor.connection import SILENCE_SECONDS, Connection
from saetui.supervisor.descriptors import room_for_clients
from saetui.supervisor.fitting import fitting
from saetui.supervisor.jobs import Board
from saetui.supervisor.listener import CHECK_SECONDS, Listener
from saetui.supervisor.memory_limit import Crowd
from saetui.supervisor.preferences import Taste
from saetui.supervisor.recovery import Adoption
from saetui.supervisor.requests import Answers
from saetui.supervisor.scheduler import LOOK_SECONDS, Workforce
from saetui.supervisor.store import Store
from saetui.supervisor.templates import Shelf

SAMPLE_SECONDS = 2.0
"""How often the device is read while someone looks."""

WORKERS = 3
"""Threads for what reads files or asks drivers; each costs memory for good."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How often live jobs and the socket are looked at, and how long a client may read nothing; in seconds."""

    look: float = LOOK_SECONDS
    silence: float = SILENCE_SECONDS
    check: float = CHECK_SECONDS


class Service:
    """One supervisor."""

    def __init__(self, home: Home, lock: int, trainer: Sequence[str] = TRAINER, pace: Pace | None = None) -> None:
        """Open the store.

        Args:
            home: what it serves.
            lock: the descriptor that holds the home's lock.
            trainer: the command of a trainer, without the run directory.
            pace: how often things are looked at.

        Raises:
            HomeError: the store cannot be used.
        """
        self._home = home
        self._lock = lock
        self._pace = pace or Pace()
        self._store = Store(home.store)
        try:
            record_damage(home.root, self._store.opening.losses)
        except OSError as error:
            log.error("what was lost could not be noted: %s", error)
        self._hub = Hub()
        self._runs = place_of(home.runs)
        self._board = Board(home, self._store, self._hub.publish)
        self._shelf = Shelf(self._store, self._hub.publish)
        self._taste = Taste(self._store, self._hub.publish)
        self._revival = Revival(self._board, self._taste.now)
        self._workforce = Workforce(
            home,
            self._board,
            self._revival,
            trainer,
            self._pace.look,
            is_ours=self._is_ours,
            take_in=lambda: self._adoption.go_on(),
        )
        self._adoption = Adoption(home, self._board, self._workforce, store_is_sound=self._store.opening.sound)
        self._connections: set[Connection] = set()
        self._crowd = Crowd(self._connections)
        self._background = Background()
        self._listener = Listener(home, self._serve, room_for_clients())
        self._leaving = asyncio.Event()
        self._check_now = asyncio.Event()
        self._device: DeviceReading | None = None
        self._answers = Answers(
            home,
            self._board,
            self._shelf,
            self._taste,
            self._workforce,
            lambda: len(self._connections),
            lambda: self._background.troubles,
            self._leaving.set,
        )

    async def run(self, ready: Callable[[], None]) -> None:
        """Adopt, listen, and work until a signal or a request says to leave. `ready` is called once clients can come.

        Raises:
            HomeError: the socket cannot be made.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(WORKERS, thread_name_prefix="worker"))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leaving.set)
        loop.add_signal_handler(signal.SIGUSR1, self._check_now.set)
        self._adoption.begin()
        self._workforce.look()
        await self._listener.open()
        ready()
        # A daemon: leaving does not wait for it, and the next start goes on with what is left.
        threading.Thread(target=self._adoption.clear_away, name="clearing", daemon=True).start()
        log.info("serving %s", self._home.root)
        self._background.repeat("following the jobs", self._workforce.work)
        self._background.repeat("looking after the socket", self._watch_socket)
        self._background.repeat("sampling the device", self._sample)
        self._background.repeat("looking at what templates refer to", self._shelf.watch)
        try:
            await self._leaving.wait()
        finally:
            self._background.close()
            await self._leave()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._answer, self._workforce.hint, self._crowd, self._pace.silence)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._hub.remove(connection)

    async def _answer(self, connection: Connection, request: Request) -> Result:
        if not isinstance(request, Subscribe):
            return await self._answers.answer(request)
        # Nothing waits here: no change falls between the snapshot and the first event.
        self._hub.add(connection)
        return Snapshot(
            seq=connection.outbox.begin(),
            jobs=fitting(self._board.jobs()),
            templates=self._shelf.known(),
            device=self._device,
            preferences=self._taste.now(),
        )

    def _is_ours(self) -> bool:
        """Whether the home is still the one that is served; when it is not, we leave soon."""
        ours = still_ours(self._home, self._lock, self._runs)
        if not ours:
            self._check_now.set()
        return ours

    async def _check_socket(self) -> None:
        if not still_ours(self._home, self._lock, self._runs):
            log.error("%s was removed or replaced: this supervisor leaves", self._home.root)
            self._leaving.set()
            return
        try:
            if await self._listener.check():
                log.warning("the socket was gone and has been made again")
        except HomeError as error:
            log.error("%s", error)

    async def _watch_socket(self) -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._check_now.wait(), self._pace.check)
            self._check_now.clear()
            await self._check_socket()

    async def _sample(self) -> None:
        while True:
            await self._hub.anyone.wait()
            self._device = await asyncio.to_thread(read_device)
            self._hub.publish(DeviceChanged(self._device))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _leave(self) -> None:
        """Say goodbye; every runner and trainer goes on."""
        self._listener.close()
        self._workforce.close()
        for connection in self._connections:
            connection.say_goodbye("The supervisor leaves; trainings go on.")
        deadline = asyncio.get_running_loop().time() + 0.5
        while any(connection.outbox.size for connection in self._connections):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.005)
        for connection in list(self._connections):
            connection.end()
        while self._connections and asyncio.get_running_loop().time() < deadline + 0.5:
            await asyncio.sleep(0.005)
        log.info("leaving")
