"""Which version of the protocol two ends speak, and what is said when there is none."""

from __future__ import annotations

from saetui.errors import ProtocolError
from saetui.protocol.messages import (
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    BaseRequest,
    Change,
    Hello,
    PreferencesChanged,
    R,
)

HANDSHAKE_SECONDS = 5.0
"""How long a connection may take to say `Hello`."""


def negotiate(hello: Hello) -> int:
    """The newest version that both ends speak.

    Raises:
        ProtocolError: there is none; it says which end is older and what to do.
    """
    version = min(hello.newest, PROTOCOL_VERSION)
    if version >= max(hello.oldest, OLDEST_VERSION):
        return version
    theirs = _range(hello.oldest, hello.newest)
    ours = _range(OLDEST_VERSION, PROTOCOL_VERSION)
    if hello.oldest > PROTOCOL_VERSION:
        way_out = "The supervisor is older: run `saetui supervisor stop` (trainings go on), then try again."
    else:
        way_out = "This client is older than the supervisor: use the saetui that the supervisor was started with."
    raise ProtocolError(f"The client speaks protocol {theirs}, the supervisor {ours}.", way_out)


def understood(change: Change, version: int) -> bool:
    """Whether an end that speaks a version knows this kind of news."""
    return version >= 2 or not isinstance(change, PreferencesChanged)


def require_understood(request: BaseRequest[R], version: int) -> None:
    """See that a supervisor which speaks a version can do what is asked.

    Raises:
        ProtocolError: it is older than that.
    """
    if request.needs > version:
        raise ProtocolError(
            f"The supervisor is older (protocol {version}) and cannot do this; protocol {request.needs} can.",
            "Run `saetui supervisor stop` (trainings go on), then try again: the new one takes over.",
        )


def _range(oldest: int, newest: int) -> str:
    return str(newest) if oldest == newest else f"{oldest} to {newest}"
