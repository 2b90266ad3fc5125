"""One client of the supervisor: its handshake, its requests one after the other, and what is sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable

import msgspec

from saetui import __version__
from saetui.display.figures import duration
from saetui.errors import ProtocolError, SaetuiError, SupervisorError
from saetui.failpoints import hit
from saetui.protocol import framing, messages
from saetui.protocol.framing import TO_CLIENT_LIMIT, FrameDecoder, failure_of
from saetui.protocol.messages import Failure, Reply, Request, Result
from saetui.protocol.versions import HANDSHAKE_SECONDS, in_parts, negotiate
from saetui.supervisor.broadcast import Outbox, Overflow
from saetui.supervisor.memory_limit import MemoryLimit
from saetui.supervisor.parts import frames_of, needs_parts

SILENCE_SECONDS = 30.0
"""A client that reads nothing for so long is cut off."""

SEND_BUFFER = 64 << 10
Answer = Callable[["Connection", Request], Awaitable[Result]]
log = logging.getLogger(__name__)


class Connection:
    """A connected client. Once it has subscribed, every change is published to it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Answer,
        directory_changed: Callable[[], None],
        memory_limit: MemoryLimit,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._directory_changed = directory_changed
        self._memory_limit = memory_limit
        self._silence = silence
        self._decoder = FrameDecoder(framing.TO_SUPERVISOR_LIMIT)
        self._payloads: list[bytes] = []
        self._answering = 0
        self.outbox = Outbox()
        self.name = "unknown"
        self.version = messages.PROTOCOL_VERSION
        writer.transport.set_write_buffer_limits(high=SEND_BUFFER)

    @property
    def held(self) -> int:
        """Bytes kept for this client, sent or received; 0 once the connection has ended."""
        transport = self._writer.transport
        if transport.is_closing():
            return 0
        to_send = self.outbox.size + transport.get_write_buffer_size()
        return to_send + self._decoder.pending + self._answering + sum(map(len, self._payloads))

    async def serve(self) -> None:
        """Talk to the client until one of the two ends the connection."""
        if not self._is_this_user():
            log.warning("a connection of another user was refused")
            self._writer.transport.abort()
            return
        sending = asyncio.create_task(self._send())
        receiving = asyncio.create_task(self._receive())
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done() and not sending.done():
                await self._flush(sending)
        finally:
            for task in (sending, receiving):
                task.cancel()
            results = await asyncio.gather(sending, receiving, return_exceptions=True)
            self._writer.transport.abort()
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, ConnectionError):
                    log.error("client %r", self.name, exc_info=result)
                if isinstance(result, BaseException):
                    # asyncio's reader keeps the exception, whose traceback keeps our frames with the last message: a
                    # megabyte in a circle of references, which the garbage collector may never visit.
                    result.__traceback__ = None

    def publish(self, change: bytes, job_id: str | None, *, progress_only: bool) -> None:
        """Send a change, encoded, as soon as the client takes it."""
        try:
            self.outbox.put_change(change, job_id, progress_only=progress_only)
            self._memory_limit.enforce(self)
        except Overflow:
            self.cut("it does not keep up")

    def say_goodbye(self, reason: str) -> None:
        self._put(messages.Goodbye(reason))

    def cut(self, reason: str) -> None:
        """End the connection at once; a client that lives connects again and gets a snapshot."""
        log.warning("client %r was cut off: %s", self.name, reason)
        self.end()

    def end(self) -> None:
        """Close the connection; what was not sent is dropped."""
        self._writer.transport.abort()

    def _is_this_user(self) -> bool:
        peer: socket.socket = self._writer.get_extra_info("socket")
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, user, _ = struct.unpack("3i", credentials)
        return bool(user == os.getuid())

    async def _receive(self) -> None:
        try:
            await self._shake_hands()
            while await self._take_next():
                pass
        except ProtocolError as error:
            self._put(failure_of(error))
        except asyncio.TimeoutError:
            late = ProtocolError(f"The client sent no greeting within {duration(HANDSHAKE_SECONDS)}.", "Try again.")
            self._put(failure_of(late))

    async def _shake_hands(self) -> None:
        payload = await asyncio.wait_for(self._next_payload(), HANDSHAKE_SECONDS)
        if payload is None:
            return
        hello = framing.from_client(payload)
        if not isinstance(hello, messages.Hello):
            raise ProtocolError("The first message must be a greeting.", "Only saetui itself can talk on this socket.")
        self.name = hello.client
        self.version = negotiate(hello)
        self._put(messages.Welcome(version=self.version, saetui=__version__, pid=os.getpid()))

    async def _take_next(self) -> bool:
        """Answer the next message, and keep nothing of it. False at the end of the connection."""
        payload = await self._next_payload()
        if payload is None:
            return False
        self._answering = len(payload)
        try:
            await self._take(payload)
        finally:
            self._answering = 0
        return True

    async def _take(self, payload: bytes) -> None:
        try:
            message = framing.from_client(payload)
        except ProtocolError as error:
            # The frame was sound, so the next one can be trusted.
            self._put(failure_of(error, framing.request_id(payload)))
            return
        if isinstance(message, messages.DirectoryChanged):
            self._directory_changed()
        elif isinstance(message, messages.Hello):
            self._put(failure_of(ProtocolError("A second greeting came.", "Greet once.")))
        else:
            await self.outbox.room()
            self._put(await self._reply(message))

    async def _reply(self, request: Request) -> Reply | Failure:
        try:
            return Reply(request.id, await self._answer(self, request))
        except SaetuiError as error:
            return failure_of(error, request.id)
        except Exception:
            log.exception("request %s", type(request).__name__)
            way_out = "Its log (supervisor.log) has the reason."
            return failure_of(SupervisorError("The supervisor failed at this request.", way_out), request.id)

    def _put(self, message: msgspec.Struct) -> None:
        if isinstance(message, Reply) and in_parts(self.version) and needs_parts(message):
            self.outbox.put_frames(frames_of(message))
            return
        try:
            content = framing.encode(message, TO_CLIENT_LIMIT)
        except ProtocolError as error:
            if isinstance(message, Reply) and not in_parts(self.version):
                error = ProtocolError(error.message, "Leave this client and start it again: the supervisor is newer.")
            content = framing.encode(failure_of(error, getattr(message, "id", None)), TO_CLIENT_LIMIT)
        self.outbox.put_frame(content)
        self._memory_limit.enforce(self)

    async def _next_payload(self) -> bytes | None:
        while not self._payloads:
            data = await self._reader.read(1 << 16)
            if not data:
                self._decoder.finish()
                return None
            self._payloads = self._decoder.feed(data)
            self._memory_limit.enforce(self)
        return self._payloads.pop(0)

    async def _send(self) -> None:
        while True:
            content = await self.outbox.take()
            hit("connection.send")
            self._writer.write(content)
            await self._drain()

    async def _drain(self) -> None:
        """Wait until the kernel has taken most of it; cut the client off when it reads nothing for too long."""
        draining = asyncio.ensure_future(self._writer.drain())
        try:
            while True:
                before = self._writer.transport.get_write_buffer_size()
                done, _ = await asyncio.wait({draining}, timeout=self._silence)
                if done:
                    return draining.result()
                if self._writer.transport.get_write_buffer_size() >= before:
                    self.cut(f"it read nothing for {duration(self._silence)}")
                    raise ConnectionAbortedError
        finally:
            draining.cancel()

    async def _flush(self, sending: asyncio.Task[None]) -> None:
        """Send what is left, for a second at most."""
        deadline = asyncio.get_running_loop().time() + 1.0
        with contextlib.suppress(ConnectionError):
            while self.outbox.size or self._writer.transport.get_write_buffer_size():
                if sending.done() or asyncio.get_running_loop().time() > deadline:
                    return
                await asyncio.sleep(0.005)
