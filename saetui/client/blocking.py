"""The supervisor for programs that wait: one question, several, or the news of a job. Loads no asyncio."""

from __future__ import annotations

import contextlib
import itertools
import math
import socket
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType

import msgspec

from saetui.client import liveness
from saetui.client.lifecycle import ensure_supervisor
from saetui.client.wire import ConnectionLost, connect_socket, listener_pid, lost, not_running, welcomed
from saetui.errors import Busy, NotFound, ProtocolError, SupervisorError
from saetui.home import Home, find_home
from saetui.jobs.job import Job
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
    GetJob,
    Goodbye,
    Hello,
    JobChanged,
    JobRemoved,
    R,
    Reply,
    Snapshot,
    Subscribe,
)
from saetui.protocol.versions import require_understood

ANSWER_SECONDS = 60.0
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
GREETING_RETRIES = (0.05, 0.2, 0.5)


class BlockingClient:
    """One connection; a context manager."""

    def __init__(self, connected: socket.socket, name: str) -> None:
        self._socket = connected
        self._listener = listener_pid(connected)
        self._decoder = FrameDecoder(TO_CLIENT_LIMIT)
        self._messages: deque[FromSupervisor] = deque()
        self._events: deque[Event] = deque()
        self._ids = itertools.count(1)
        with contextlib.suppress(ConnectionLost):
            # Turned away before the greeting came: the reason waits to be read.
            self._send(Hello(client=name))
        welcome = welcomed(self._next(liveness.PATIENCE_SECONDS))
        self.supervisor_pid = welcome.pid
        self._version = welcome.version

    @classmethod
    def connect(cls, home: Home | None = None, *, start: bool = True, name: str = "cli") -> BlockingClient:
        """A connection to the supervisor, which is started when `start` is set and none runs.

        Raises:
            SupervisorError: there is none, or it cannot be started.
            HomeError: SAETUI_HOME cannot be used.
            ProtocolError: it speaks another version.
        """
        home = home or find_home()
        for pause in GREETING_RETRIES:
            try:
                return cls._connect_once(home, start, name)
            except (ConnectionLost, Busy):
                # It died between taking the connection and greeting, or others are just leaving: nothing was asked yet.
                time.sleep(pause)
        return cls._connect_once(home, start, name)

    @classmethod
    def _connect_once(cls, home: Home, start: bool, name: str) -> BlockingClient:
        connected = connect_socket(home)
        if connected is None and start:
            ensure_supervisor(home)
            connected = connect_socket(home)
        if connected is None:
            raise not_running(home)
        try:
            return cls(connected, name)
        except BaseException:
            connected.close()
            raise

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def request(self, request: BaseRequest[R], timeout: float = ANSWER_SECONDS) -> R:
        """The answer to a request.

        Raises:
            SaetuiError: the supervisor refused it; of the class that it says.
            ProtocolError: the supervisor is too old for it.
            SupervisorError: the connection was lost, or no answer came within the timeout (seconds).
        """
        require_understood(request, self._version)
        number = next(self._ids)
        self._send(msgspec.structs.replace(request, id=number))
        deadline = time.monotonic() + timeout
        while True:
            message = self._next(max(0.001, deadline - time.monotonic()))
            if isinstance(message, Event):
                self._events.append(message)
            elif isinstance(message, Goodbye):
                raise SupervisorError(message.reason, "Try again.")
            elif isinstance(message, Failure) and message.id in (number, None):
                raise error_of(message)
            elif isinstance(message, Reply) and message.id == number:
                return answer_to(request, message)

    def news(self) -> Iterator[Snapshot | Event]:
        """Everything as it is now, then each change; ends when the connection does (with SupervisorError)."""
        yield self.request(Subscribe())
        while True:
            while self._events:
                yield self._events.popleft()
            message = self._next(None)
            if isinstance(message, Event):
                yield message
            elif isinstance(message, Goodbye):
                raise SupervisorError(message.reason, "Try again.")

    def _send(self, message: msgspec.Struct) -> None:
        content = encode(message, TO_SUPERVISOR_LIMIT)
        try:
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.sendall(content)
        except OSError as error:
            raise lost() from error

    def _next(self, timeout: float | None) -> FromSupervisor:
        """The next message.

        Args:
            timeout: in seconds; None: for ever, as long as the supervisor is not stopped.
        """
        begun = time.monotonic()
        while not self._messages:
            left = None if timeout is None else begun + timeout - time.monotonic()
            self._socket.settimeout(max(0.001, min(liveness.PATIENCE_SECONDS, left if left is not None else math.inf)))
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError as error:
                waited = time.monotonic() - begun
                if (timeout is not None and waited >= timeout) or liveness.is_stopped(self._listener):
                    raise liveness.unresponsive(self._listener, round(waited)) from error
                continue
            except OSError as error:
                raise lost() from error
            if not data:
                raise lost()
            self._messages.extend(from_supervisor(payload) for payload in self._decoder.feed(data))
        return self._messages.popleft()


def answer_to(request: BaseRequest[R], reply: Reply) -> R:
    """The answer in a reply, of the type that the request has.

    Raises:
        ProtocolError: it is of another type.
    """
    expected = request.answer_type()
    if not isinstance(reply.result, expected):
        raise ProtocolError(
            f"{type(request).__name__} was answered by {type(reply.result).__name__}.",
            "Run `saetui supervisor stop` (trainings go on) and try again.",
        )
    return reply.result


def ask(request: BaseRequest[R], home: Home | None = None, *, start: bool = True, timeout: float = ANSWER_SECONDS) -> R:
    """One question over a connection of its own. Raises as `BlockingClient.connect` and `.request` do."""
    with BlockingClient.connect(home, start=start) as client:
        return client.request(request, timeout)


def follow(home: Home | None = None) -> Iterator[Snapshot | Event]:
    """All news, without end. When the supervisor dies it is started again, and a new snapshot comes.

    Raises:
        SaetuiError: it cannot be started again either.
    """
    home = home or find_home()
    failures = 0
    while True:
        try:
            with BlockingClient.connect(home, name="follow") as client:
                for message in client.news():
                    failures = 0
                    yield message
        except SupervisorError:
            if failures == len(RETRY_SECONDS):
                raise
            time.sleep(RETRY_SECONDS[failures])
            failures += 1


def follow_job(job_id: str, home: Home | None = None) -> Iterator[Job]:
    """A job now, then each time it changes, until it has ended. Survives the supervisor's death.

    Args:
        job_id: an id, a unique prefix of one, or a name.
        home: the home it is in.

    Raises:
        NotFound: there is no such job, or it was deleted meanwhile.
    """
    wanted = ask(GetJob(job_id), home).job.id
    for message in follow(home):
        for job in _changed_jobs(message, wanted):
            yield job
            if job.status.ended:
                return


def _changed_jobs(message: Snapshot | Event, wanted: str) -> list[Job]:
    if isinstance(message, Snapshot):
        found = [job for job in message.jobs if job.id == wanted]
        if not found:
            raise NotFound(f"Job {wanted} is no longer there.", "It has been deleted.")
        return found
    change = message.change
    if isinstance(change, JobRemoved) and change.id == wanted:
        raise NotFound(f"Job {wanted} is no longer there.", "It has been deleted.")
    return [change.job] if isinstance(change, JobChanged) and change.job.id == wanted else []
