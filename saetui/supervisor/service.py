"""The supervisor: all its parts put together, from the lock to the goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from saetui.devices.device import Devices
from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.damage import record_damage
from saetui.launch.presence import directory_id
from saetui.protocol.messages import CannotTrain, DeviceChanged, DeviceReading, Request, Result, Snapshot, Subscribe
from saetui.supervisor.auto_resume import AutoResume
from saetui.supervisor.background import Background
from saetui.supervisor.broadcast import Broadcast
from saetui.supervisor.connection import Connection
from saetui.supervisor.jobs import Jobs
from saetui.supervisor.listener import Listener
from saetui.supervisor.memory_limit import MemoryLimit
from saetui.supervisor.preferences import StoredPreferences
from saetui.supervisor.recovery import Recovery
from saetui.supervisor.requests import RequestHandlers
from saetui.supervisor.scheduler import Scheduler
from saetui.supervisor.store import Store
from saetui.supervisor.templates import Templates
from saetui.supervisor.torch_check import TorchCheck

SAMPLE_SECONDS = 2.0
"""How often the device is read while a client has subscribed."""

WORKERS = 3
"""Threads that read files or ask drivers; the memory of each is never given back."""

log = logging.getLogger(__name__)


class Service:
    """One supervisor."""

    def __init__(
        self, home: Home, lock: int, trainer: Sequence[str], *, poll: float, silence: float, check: float
    ) -> None:
        """Open the store.

        Args:
            lock: the descriptor that holds the home's lock.
            trainer: its command.
            poll: how often running jobs are read, in seconds.
            silence: for how long a client may read nothing.
            check: how often the socket is checked.

        Raises:
            HomeError: the store cannot be used.
        """
        self._home = home
        self._lock = lock
        self._silence, self._check_seconds = silence, check
        self._store = Store(home.store)
        try:
            record_damage(home.root, self._store.losses)
        except OSError as error:
            log.error("the losses could not be recorded: %s", error)
        self._broadcast = Broadcast()
        publish = self._broadcast.publish
        self._runs = directory_id(home.runs)
        self._jobs = Jobs(home, self._store, publish)
        self._templates = Templates(self._store, publish)
        self._preferences = StoredPreferences(self._store, publish)
        self._scheduler = Scheduler(
            home,
            self._jobs,
            AutoResume(self._jobs, self._preferences.current),
            trainer,
            poll,
            still_serves=self.still_serves,
            recover=lambda: self._recovery.go_on(),
        )
        self._recovery = Recovery(home, self._jobs, self._scheduler, store_is_sound=self._store.sound)
        self._connections: set[Connection] = set()
        self._memory_limit = MemoryLimit(self._connections)
        self._background = Background()
        self._listener = Listener(home, self._serve)
        self._leaving = asyncio.Event()
        self._check_now = asyncio.Event()
        self._devices = Devices()
        self._device: DeviceReading | None = None
        self._torch = TorchCheck(home, trainer)
        self._cannot_train: CannotTrain | None = None
        self._handlers = RequestHandlers(
            home,
            self._jobs,
            self._templates,
            self._preferences,
            self._scheduler,
            self._torch,
            lambda: len(self._connections),
            lambda: self._background.troubles,
            self._leaving.set,
        )

    async def run(self, ready: Callable[[], None]) -> None:
        """Recover, listen, and work until a signal or a request ends it. `ready` is called once clients can connect.

        Raises:
            HomeError: the socket cannot be made.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(WORKERS, thread_name_prefix="worker"))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leaving.set)
        loop.add_signal_handler(signal.SIGUSR1, self._check_now.set)
        self._recovery.begin()
        self._scheduler.update_running()
        await self._listener.open()
        ready()
        # A daemon: the process does not wait for it when it leaves, and the next start goes on with what is left.
        threading.Thread(target=self._recovery.remove_deleted, name="removing", daemon=True).start()
        log.info("serving %s", self._home.root)
        self._background.repeat("following the jobs", self._scheduler.work)
        self._background.repeat("checking the socket", self._watch_socket)
        self._background.repeat("reading the device", self._sample)
        self._background.repeat("checking torch", self._watch_torch)
        self._background.repeat("checking what templates refer to", self._templates.watch)
        try:
            await self._leaving.wait()
        finally:
            self._background.close()
            await self._leave()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._answer, self._scheduler.wake, self._memory_limit, self._silence)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._broadcast.remove(connection)

    async def _answer(self, connection: Connection, request: Request) -> Result:
        if not isinstance(request, Subscribe):
            return await self._handlers.answer(request)
        # Nothing is awaited here: no change comes between the snapshot and the first event.
        self._broadcast.add(connection)
        return Snapshot(
            seq=connection.outbox.begin(),
            jobs=tuple(self._jobs.all()),
            templates=self._templates.known(),
            device=self._device,
            preferences=self._preferences.current(),
        )

    def still_serves(self) -> bool:
        """Whether neither the home nor its `runs/` was removed, moved or replaced. When one was, the supervisor stops soon."""
        try:
            # Others must find the file of the lock that is held here.
            found = os.path.samestat(self._home.supervisor_lock.stat(), os.fstat(self._lock))
        except OSError:
            found = False
        if found and directory_id(self._home.runs) == self._runs:
            return True
        self._check_now.set()
        return False

    async def _watch_socket(self) -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._check_now.wait(), self._check_seconds)
            serves = self.still_serves()
            self._check_now.clear()
            if not serves:
                log.error("%s was removed or replaced: this supervisor stops", self._home.root)
                self._leaving.set()
                continue
            try:
                if await self._listener.check():
                    log.warning("the socket was gone and has been made again")
            except HomeError as error:
                log.error("%s", error)

    async def _sample(self) -> None:
        while True:
            if not self._broadcast.anyone.is_set():
                await asyncio.to_thread(self._devices.close)
                await self._broadcast.anyone.wait()
            reading = await asyncio.to_thread(self._devices.read)
            self._device = msgspec.structs.replace(reading, cannot_train=self._cannot_train)
            self._broadcast.publish(DeviceChanged(self._device))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _watch_torch(self) -> None:
        def tell(found: CannotTrain | None) -> None:
            self._cannot_train = found

        while True:
            await self._broadcast.anyone.wait()
            await self._torch.watch(tell)

    async def _leave(self) -> None:
        """Say goodbye; every runner and trainer goes on."""
        self._listener.close()
        self._scheduler.close()
        for connection in self._connections:
            connection.say_goodbye("The supervisor stops; trainings go on.")
        deadline = asyncio.get_running_loop().time() + 0.5
        while any(one.outbox.size for one in self._connections) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        for connection in list(self._connections):
            connection.end()
        while self._connections and asyncio.get_running_loop().time() < deadline + 0.5:
            await asyncio.sleep(0.005)
        log.info("leaving")
