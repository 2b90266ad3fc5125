"""One conversation with the supervisor, without input or output; the blocking and the asyncio client both hold one.

A client sends the bytes that a session makes and gives it the bytes that arrive. The session keeps the state of the
handshake, matches answers to requests by their id, checks the sequence numbers of changes, and knows why it has ended.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any, Generic

import msgspec

from saetui.errors import ProtocolError, SaetuiError, SupervisorError
from saetui.jobs.job import Job
from saetui.protocol import messages
from saetui.protocol.framing import (
    TO_CLIENT_LIMIT,
    TO_SUPERVISOR_LIMIT,
    FrameDecoder,
    encode,
    error_of,
    from_supervisor,
)
from saetui.protocol.messages import BaseRequest, R
from saetui.protocol.versions import require_understood

ANSWER_SECONDS = 60.0
"""How long a client waits for an answer unless it is told otherwise."""


class ConnectionLost(SupervisorError):
    """The connection ended without a reason."""


class Question(Generic[R]):
    """A request, the bytes that ask it, and its answer once that has arrived."""

    def __init__(self, request: BaseRequest[R]) -> None:
        self.content = encode(request, TO_SUPERVISOR_LIMIT)
        self.outcome: messages.Result | SaetuiError | None = None
        self.jobs: list[Job] = []
        self._request = request

    @property
    def number(self) -> int:
        return self._request.id

    @property
    def answered(self) -> bool:
        return self.outcome is not None

    def whole(self, result: messages.Result) -> messages.Result:
        """A result with the jobs that came before it."""
        if self.jobs and isinstance(result, (messages.ManyJobs, messages.Snapshot)):
            return msgspec.structs.replace(result, jobs=(*self.jobs, *result.jobs))
        return result

    def answer(self) -> R:
        """The answer.

        Raises:
            SaetuiError: the supervisor refused the request, or the session ended first.
            ProtocolError: the answer is of another type.
        """
        if isinstance(self.outcome, SaetuiError):
            raise self.outcome
        expected = self._request.answer_type()
        if not isinstance(self.outcome, expected):
            raise ProtocolError(
                f"{type(self._request).__name__} was answered by {type(self.outcome).__name__}.",
                "Run `saetui supervisor stop` (trainings go on) and try again.",
            )
        return self.outcome


class Session:
    """The state of one connection.

    Attributes:
        greeting: the first bytes to send.
        end: why nothing more will arrive; None while the session is open.
    """

    def __init__(self, client: str) -> None:
        """`client`: the name under which the supervisor knows this client."""
        self.greeting = encode(messages.Hello(client=client), TO_SUPERVISOR_LIMIT)
        self.end: SaetuiError | None = None
        self._welcome: messages.Welcome | None = None
        self._decoder = FrameDecoder(TO_CLIENT_LIMIT)
        self._numbers = itertools.count(1)
        self._open: dict[int, Question[Any]] = {}
        self._events: deque[messages.Event] = deque()
        self._seq = 0

    @property
    def greeted(self) -> bool:
        """Whether the greeting has been answered, with a welcome or with a refusal."""
        return self._welcome is not None or self.end is not None

    @property
    def welcome(self) -> messages.Welcome:
        """The supervisor's answer to the greeting.

        Raises:
            SaetuiError: it refused, above all with ProtocolError where no version is common; or the session ended.
        """
        if self._welcome is None:
            raise self.end or ConnectionLost("The supervisor has not answered the greeting yet.", "Try again.")
        return self._welcome

    def ask(self, request: BaseRequest[R]) -> Question[R]:
        """Make a question of a request, under a number of its own; the caller sends its content.

        Raises:
            ProtocolError: the supervisor is too old for the request.
            SaetuiError: the session has ended.
        """
        require_understood(request, self.welcome.version)
        if self.end is not None:
            raise self.end
        question = Question(msgspec.structs.replace(request, id=next(self._numbers)))
        self._open[question.number] = question
        return question

    def forget(self, question: Question[R]) -> None:
        """Ignore an answer that arrives later."""
        self._open.pop(question.number, None)

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket; none at all mean that the other end closed it."""
        if not data:
            self.lose()
            return
        try:
            for payload in self._decoder.feed(data):
                self._take(from_supervisor(payload))
        except ProtocolError as error:
            self._finish(error)

    def lose(self) -> None:
        """End the session: the connection is gone."""
        self._finish(ConnectionLost("The connection to the supervisor was lost.", "Trainings go on; try again."))

    def count_from(self, snapshot: messages.Snapshot) -> None:
        """Let the changes after a snapshot be the next ones."""
        self._seq = snapshot.seq
        self._events = deque(event for event in self._events if event.seq > snapshot.seq)

    @property
    def has_news(self) -> bool:
        """Whether `next_change` can be called."""
        return bool(self._events) or self.end is not None

    def next_change(self) -> messages.Event | None:
        """The change that follows the last one; None where one is missing, so that a new snapshot is needed.

        Raises:
            SaetuiError: the session has ended, and every change before that was taken.
        """
        if not self._events:
            assert self.end is not None, "next_change was called without news"
            raise self.end
        event = self._events.popleft()
        if event.seq != self._seq + 1:
            return None
        self._seq = event.seq
        return event

    def _take(self, message: messages.FromSupervisor) -> None:
        if isinstance(message, messages.Goodbye):
            self._finish(SupervisorError(message.reason, "Try again."))
        elif isinstance(message, messages.Failure) and (message.id is None or self._welcome is None):
            self._finish(error_of(message))
        elif self._welcome is None:
            if isinstance(message, messages.Welcome):
                self._welcome = message
            else:
                way_out = "Run `saetui supervisor stop` and try again."
                self._finish(ProtocolError("The supervisor did not answer the greeting.", way_out))
        elif isinstance(message, messages.Event):
            if message.seq > self._seq:
                self._events.append(message)
        elif isinstance(message, (messages.Reply, messages.Failure)) and message.id in self._open:
            question = self._open.pop(message.id)
            question.outcome = (
                question.whole(message.result) if isinstance(message, messages.Reply) else error_of(message)
            )
        elif isinstance(message, messages.JobsPart) and message.id in self._open:
            self._open[message.id].jobs.extend(message.jobs)

    def _finish(self, error: SaetuiError) -> None:
        """End the session with its first reason; every open question gets it as its answer."""
        self.end = self.end or error
        for question in self._open.values():
            question.outcome = self.end
        self._open.clear()
