"""Messages and errors as bytes on the socket: frames of a length of 4 bytes (big-endian) and so many bytes of JSON.

The decoder takes whatever bytes arrive and returns whole payloads, so that asyncio and blocking code share it. A wrong
length ends a connection, since nothing after it can be trusted; a payload that is no message does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from saetui import errors
from saetui.errors import ProtocolError, SaetuiError
from saetui.failpoints import hit
from saetui.protocol.messages import Failure, FromClient, FromSupervisor
from saetui.spec.problems import Problem, SpecError

TO_SUPERVISOR_LIMIT = 1 << 20
"""Bytes of one payload from a client: 1 MiB."""

TO_CLIENT_LIMIT = 4 << 20
"""Bytes of one payload from the supervisor: 4 MiB, for a snapshot of thousands of jobs."""

LENGTH_BYTES = 4
Message = TypeVar("Message")

_ERRORS = {
    error.kind: error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, SaetuiError)
}
_CLIENT_MESSAGES: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)
_SUPERVISOR_MESSAGES: msgspec.json.Decoder[FromSupervisor] = msgspec.json.Decoder(FromSupervisor)


class FrameDecoder:
    """Cuts a stream of bytes into payloads."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes that a payload may have. Never more than that, and one read, is kept."""
        self._limit = limit
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the stream; the payloads that are complete now, in order.

        Raises:
            ProtocolError: a length is 0 or above the limit. The stream is of no use after that.
        """
        self._pending += data
        payloads = []
        start = 0
        while len(self._pending) - start >= LENGTH_BYTES:
            body = start + LENGTH_BYTES
            length = int.from_bytes(self._pending[start:body], "big")
            if not 0 < length <= self._limit:
                raise ProtocolError(
                    f"A frame of {length} bytes was announced; 1 to {self._limit} are allowed.",
                    "Only saetui itself can talk on this socket.",
                )
            if len(self._pending) - body < length:
                break
            payloads.append(bytes(self._pending[body : body + length]))
            start = body + length
        del self._pending[:start]
        return payloads

    def finish(self) -> None:
        """Note that the stream has ended.

        Raises:
            ProtocolError: it ended in the middle of a frame.
        """
        if self._pending:
            raise ProtocolError("The connection ended in the middle of a frame.", "Try again.")


def frame(payload: bytes, limit: int) -> bytes:
    """A payload with its length before it.

    Raises:
        ProtocolError: the payload is empty or longer than the limit.
    """
    if not 0 < len(payload) <= limit:
        raise ProtocolError(
            f"A message of {len(payload)} bytes cannot be sent; {limit} are allowed.", "Send less at once."
        )
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def encode(message: msgspec.Struct, limit: int) -> bytes:
    """A message as one frame.

    Raises:
        ProtocolError: the message is too long, or holds a value that JSON does not have.
        SpecError: its spec holds a number that is not finite (JSON would silently lose the number).
    """
    hit("frame.encode")
    require_finite(getattr(message, "spec", None))
    try:
        payload = msgspec.json.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"The message cannot be sent: {error}.", "Check the values that were given.") from error
    return frame(payload, limit)


def from_client(payload: bytes) -> FromClient:
    """The message of a client in a payload.

    Raises:
        ProtocolError: the payload is no JSON, is nested too deeply, or is an unknown message or one with wrong fields.
    """
    return _decode(payload, _CLIENT_MESSAGES)


def from_supervisor(payload: bytes) -> FromSupervisor:
    """The message of the supervisor in a payload; raises as `from_client`."""
    return _decode(payload, _SUPERVISOR_MESSAGES)


def _decode(payload: bytes, decoder: msgspec.json.Decoder[Message]) -> Message:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"A message could not be understood: {error}.",
            "If two versions of saetui are in use, run `saetui supervisor stop` (trainings go on) and try again.",
        ) from error


class _OnlyId(msgspec.Struct):
    id: int = 0


def request_id(payload: bytes) -> int | None:
    """The id of a request of which nothing else could be read, so that the client knows which request is refused."""
    try:
        return msgspec.json.decode(payload, type=_OnlyId).id or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def failure_of(error: SaetuiError, request: int | None = None) -> Failure:
    """An error as a message to the client. `request`: the id of the request that is refused."""
    return Failure(
        id=request,
        kind=error.kind,
        message=error.message,
        suggestion=error.suggestion,
        problems=error.problems if isinstance(error, SpecError) else (),
    )


def error_of(failure: Failure) -> SaetuiError:
    """The error that such a message holds; a plain `SaetuiError` where its kind is unknown here."""
    if failure.problems:
        return SpecError(failure.problems)
    return _ERRORS.get(failure.kind, SaetuiError)(failure.message, failure.suggestion)


def require_finite(value: Any, field: str = "") -> None:
    """Refuse JSON values that hold a number which is NaN or infinite.

    Raises:
        SpecError: there is one; the problem names its field.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError([Problem(field=field, message=f"{value} is not a finite number.", suggestion="Give a number.")])
    if isinstance(value, Mapping):
        for name, inner in value.items():
            require_finite(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            require_finite(inner, field)
