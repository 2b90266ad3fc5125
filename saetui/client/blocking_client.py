"""A connection to the supervisor for programs that wait. Loads no asyncio."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

from saetui.client import liveness
from saetui.client.session import ANSWER_SECONDS, ConnectionLost, Session
from saetui.client.wire import connect_socket, listener_pid
from saetui.errors import Busy
from saetui.home import Home, find_home
from saetui.protocol.messages import BaseRequest, Event, R, Snapshot, Subscribe

GREETING_RETRIES = (0.05, 0.2, 0.5)
"""Seconds before each further attempt to be greeted."""


class BlockingClient:
    """One connection; a context manager."""

    def __init__(self, connected: socket.socket, name: str) -> None:
        """Greet the supervisor.

        Args:
            connected: the socket.
            name: the name of this client, for the supervisor.

        Raises:
            SaetuiError: as `Session.welcome`.
        """
        self._socket = connected
        self._listener = listener_pid(connected)
        self._session = Session(name)
        self._send(self._session.greeting)
        self._until(lambda: self._session.greeted, liveness.PATIENCE_SECONDS)
        self.supervisor_pid = self._session.welcome.pid

    @classmethod
    def connect(cls, home: Home | None = None, *, name: str = "cli") -> BlockingClient:
        """A connection to the supervisor that runs.

        Raises:
            NotRunning: there is none.
            HomeError: SAETUI_HOME cannot be used.
            ProtocolError: the supervisor speaks another version.
        """
        home = home or find_home()
        for pause in GREETING_RETRIES:
            try:
                return cls._connect_once(home, name)
            except (ConnectionLost, Busy):
                # It died before it greeted, or other clients are just leaving: nothing was asked yet.
                time.sleep(pause)
        return cls._connect_once(home, name)

    @classmethod
    def _connect_once(cls, home: Home, name: str) -> BlockingClient:
        connected = connect_socket(home)
        try:
            return cls(connected, name)
        except BaseException:
            connected.close()
            raise

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def request(self, request: BaseRequest[R], timeout: float = ANSWER_SECONDS) -> R:
        """The answer to a request.

        Raises:
            SaetuiError: the supervisor refused it; the class is the one that the answer names.
            ProtocolError: the supervisor is too old for it.
            SupervisorError: the connection was lost, or no answer arrived within the timeout (seconds).
        """
        question = self._session.ask(request)
        try:
            self._send(question.content)
            self._until(lambda: question.answered, timeout)
        finally:
            self._session.forget(question)
        return question.answer()

    def news(self) -> Iterator[Snapshot | Event]:
        """Everything as it is now, then each change.

        Raises:
            SupervisorError: the connection has ended.
        """
        while True:
            snapshot = self.request(Subscribe())
            self._session.count_from(snapshot)
            yield snapshot
            while (change := self._next_change()) is not None:
                yield change

    def _next_change(self) -> Event | None:
        self._until(lambda: self._session.has_news, None)
        return self._session.next_change()

    def _send(self, content: bytes) -> None:
        try:
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.sendall(content)
        except TimeoutError:
            self._session.lose()
        except OSError:
            pass  # the supervisor has gone; its reason may wait to be read, and else `_until` finds the end

    def _until(self, ready: Callable[[], bool], timeout: float | None) -> None:
        """Receive until something is ready.

        Args:
            ready: asked after each arrival; true once the session has ended.
            timeout: in seconds; None: as long as the supervisor is not stopped.
        """
        patience = liveness.Patience(self._listener, timeout)
        while not ready():
            self._socket.settimeout(patience.seconds())
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                patience.require_life()
                continue
            except OSError:
                data = b""
            self._session.receive(data)
