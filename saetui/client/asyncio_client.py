"""A connection to the supervisor for programs that do several things at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from saetui.client import liveness
from saetui.client.session import ANSWER_SECONDS, Session
from saetui.client.wire import connect_socket, listener_pid
from saetui.home import Home, find_home
from saetui.protocol.messages import BaseRequest, Event, R, Snapshot, Subscribe


class AsyncioClient:
    """One connection; an async context manager. Several coroutines may make requests at once."""

    supervisor_pid: int

    def __init__(
        self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: int
    ) -> None:
        """Made by `connect`. `listener`: the pid of the process at the other end."""
        self._session = session
        self._reader = reader
        self._writer = writer
        self._listener = listener
        self._arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._receiving = asyncio.create_task(self._receive())

    @classmethod
    async def connect(cls, home: Home | None = None, *, name: str = "client") -> AsyncioClient:
        """A connection to the supervisor that runs.

        Raises:
            NotRunning: there is none.
            HomeError: SAETUI_HOME cannot be used.
            ProtocolError: the supervisor speaks another version.
        """
        connected = await asyncio.to_thread(connect_socket, home or find_home())
        session = Session(name)
        with contextlib.suppress(OSError):
            # A client that is turned away before it can greet finds the reason waiting to be read.
            connected.send(session.greeting)
        connected.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connected)
        client = cls(session, reader, writer, listener_pid(connected))
        try:
            await client._greeted()
        except BaseException:
            client._receiving.cancel()
            writer.close()
            raise
        return client

    async def __aenter__(self) -> AsyncioClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        self._receiving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._receiving
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def request(self, request: BaseRequest[R], timeout: float = ANSWER_SECONDS) -> R:
        """The answer to a request.

        Raises:
            SaetuiError: the supervisor refused it; the class is the one that the answer names.
            ProtocolError: the supervisor is too old for it.
            SupervisorError: the connection was lost, or no answer arrived within the timeout (seconds).
        """
        question = self._session.ask(request)
        try:
            self._writer.write(question.content)
            await self._until(lambda: question.answered, timeout)
        finally:
            self._session.forget(question)
        return question.answer()

    async def news(self) -> AsyncIterator[Snapshot | Event]:
        """Everything as it is now, then each change; one iteration at a time.

        Raises:
            SupervisorError: the connection has ended.
        """
        while True:
            snapshot = await self.request(Subscribe())
            self._session.count_from(snapshot)
            yield snapshot
            while (change := await self._next_change()) is not None:
                yield change

    async def _greeted(self) -> None:
        await self._until(lambda: self._session.greeted, liveness.PATIENCE_SECONDS)
        self.supervisor_pid = self._session.welcome.pid

    async def _next_change(self) -> Event | None:
        # The supervisor sends the device's state every few seconds: a long silence means that it may be stopped.
        await self._until(lambda: self._session.has_news, None)
        return self._session.next_change()

    async def _until(self, ready: Callable[[], bool], timeout: float | None) -> None:
        """Wait until something is ready.

        Args:
            ready: asked after each arrival; true once the session has ended.
            timeout: in seconds; None: as long as the supervisor is not stopped.
        """
        patience = liveness.Patience(self._listener, timeout)
        while not ready():
            arrived, _ = await asyncio.wait({self._arrival}, timeout=patience.seconds())
            if not arrived:
                patience.require_life()

    async def _receive(self) -> None:
        try:
            while self._session.end is None:
                try:
                    data = await self._reader.read(1 << 16)
                except OSError:
                    data = b""
                self._session.receive(data)
                self._arrived()
        finally:
            self._session.lose()
            self._arrived()

    def _arrived(self) -> None:
        """Wake every coroutine that waits."""
        self._arrival.set_result(None)
        self._arrival = asyncio.get_running_loop().create_future()
