"""One connection to the supervisor for programs that do several things at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from types import TracebackType

import msgspec

from saetui.client import liveness
from saetui.client.blocking import ANSWER_SECONDS, answer_to
from saetui.client.lifecycle import ensure_supervisor
from saetui.client.wire import connect_socket, listener_pid, lost, not_running, welcomed
from saetui.errors import ProtocolError, SaetuiError, SupervisorError
from saetui.home import Home, find_home
from saetui.protocol.framing import (
    TO_CLIENT_LIMIT,
    TO_SUPERVISOR_LIMIT,
    FrameDecoder,
    encode,
    error_of,
    from_supervisor,
)
from saetui.protocol.messages import (
    BaseRequest,
    Event,
    Failure,
    FromSupervisor,
    Goodbye,
    Hello,
    R,
    Reply,
    Snapshot,
    Subscribe,
    Welcome,
)
from saetui.protocol.versions import require_understood


class Client:
    """A connection; an async context manager. Requests may be made from several tasks at once."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, welcome: Welcome, early: list[bytes]
    ) -> None:
        """Made by `connect`."""
        self.supervisor_pid = welcome.pid
        self._version = welcome.version
        self._reader = reader
        self._writer = writer
        self._decoder = FrameDecoder(TO_CLIENT_LIMIT)
        self._ids = itertools.count(1)
        self._open: dict[int, asyncio.Future[Reply]] = {}
        self._news: asyncio.Queue[Event | SaetuiError] = asyncio.Queue()
        self._seq = 0
        self._end: SaetuiError | None = None
        self._receiving = asyncio.create_task(self._receive(early))

    @classmethod
    async def connect(cls, home: Home | None = None, *, start: bool = True, client: str = "client") -> Client:
        """A connection to the supervisor, which is started when `start` is set and none runs.

        Raises:
            SupervisorError: there is none, or it cannot be started.
            HomeError: SAETUI_HOME cannot be used.
            ProtocolError: it speaks another version.
        """
        home = home or find_home()
        connected = await asyncio.to_thread(connect_socket, home)
        if connected is None and start:
            await asyncio.to_thread(ensure_supervisor, home)
            connected = await asyncio.to_thread(connect_socket, home)
        if connected is None:
            raise not_running(home)
        with contextlib.suppress(OSError):
            # One that is turned away before it could greet finds the reason waiting to be read.
            connected.send(encode(Hello(client=client), TO_SUPERVISOR_LIMIT))
        connected.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connected)
        pid = listener_pid(connected)
        try:
            return await asyncio.wait_for(cls._greet(reader, writer), liveness.PATIENCE_SECONDS)
        except asyncio.TimeoutError as error:
            writer.close()
            raise liveness.unresponsive(pid, liveness.PATIENCE_SECONDS) from error
        except BaseException:
            writer.close()
            raise

    @classmethod
    async def _greet(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Client:
        decoder = FrameDecoder(TO_CLIENT_LIMIT)
        payloads: list[bytes] = []
        while not payloads:
            try:
                data = await reader.read(1 << 16)
            except OSError as error:
                raise lost() from error
            if not data:
                raise lost()
            payloads = decoder.feed(data)
        return cls(reader, writer, welcomed(from_supervisor(payloads[0])), payloads[1:])

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(self, request: BaseRequest[R], timeout: float = ANSWER_SECONDS) -> R:
        """The answer to a request.

        Raises:
            SaetuiError: the supervisor refused it; of the class that it says.
            ProtocolError: the supervisor is too old for it.
            SupervisorError: the connection was lost, or no answer came within the timeout (seconds).
        """
        require_understood(request, self._version)
        if self._end is not None:
            raise self._end
        number = next(self._ids)
        content = encode(msgspec.structs.replace(request, id=number), TO_SUPERVISOR_LIMIT)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            self._writer.write(content)
            reply = await self._answered(answer, timeout)
        finally:
            self._open.pop(number, None)
        return answer_to(request, reply)

    async def subscribe(self) -> AsyncIterator[Snapshot | Event]:
        """Everything as it is now, then each change; one iteration at a time.

        Raises:
            SupervisorError: the connection has ended.
        """
        yield await self._snapshot()
        while True:
            message = await self._next_news()
            if isinstance(message, SaetuiError):
                raise message
            if message.seq <= self._seq:
                continue
            if message.seq == self._seq + 1:
                self._seq = message.seq
                yield message
            else:
                yield await self._snapshot()

    async def _answered(self, answer: asyncio.Future[Reply], timeout: float) -> Reply:
        """The answer; SupervisorError after the timeout (seconds), or sooner where the supervisor is stopped."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            left = max(0.0, begun + timeout - loop.time())
            await asyncio.wait({answer}, timeout=min(left, liveness.PATIENCE_SECONDS))
            if answer.done():
                return answer.result()
            waited = loop.time() - begun
            if waited >= timeout or liveness.is_stopped(self.supervisor_pid):
                raise liveness.unresponsive(self.supervisor_pid, round(waited))

    async def _next_news(self) -> Event | SaetuiError:
        while True:
            try:
                return await asyncio.wait_for(self._news.get(), liveness.PATIENCE_SECONDS)
            except asyncio.TimeoutError as error:
                # The device is told every few seconds: so long a silence is looked into.
                if liveness.is_stopped(self.supervisor_pid):
                    raise liveness.unresponsive(self.supervisor_pid, liveness.PATIENCE_SECONDS) from error

    async def close(self) -> None:
        """End the connection."""
        self._receiving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._receiving
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _snapshot(self) -> Snapshot:
        snapshot = await self.request(Subscribe())
        self._seq = snapshot.seq
        return snapshot

    async def _receive(self, early: list[bytes]) -> None:
        try:
            for payload in early:
                self._take(from_supervisor(payload))
            while data := await self._reader.read(1 << 16):
                for payload in self._decoder.feed(data):
                    self._take(from_supervisor(payload))
            self._finish(lost())
        except (ProtocolError, SupervisorError) as error:
            self._finish(error)
        except OSError:
            self._finish(lost())
        except asyncio.CancelledError:
            self._finish(lost())
            raise

    def _take(self, message: FromSupervisor) -> None:
        if isinstance(message, Event):
            self._news.put_nowait(message)
        elif isinstance(message, Goodbye):
            raise SupervisorError(message.reason, "Try again.")
        elif isinstance(message, Failure) and message.id is None:
            self._finish(error_of(message))
        elif isinstance(message, (Reply, Failure)) and message.id is not None:
            answer = self._open.get(message.id)
            if answer is not None and not answer.done():
                if isinstance(message, Reply):
                    answer.set_result(message)
                else:
                    answer.set_exception(error_of(message))

    def _finish(self, error: SaetuiError) -> None:
        """Nothing more comes: whoever waits is told."""
        self._end = self._end or error
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(error)
        self._news.put_nowait(error)
