"""Which version of the protocol two ends speak, and what each version knows."""

from __future__ import annotations

from saetui.errors import ProtocolError
from saetui.protocol import messages
from saetui.protocol.messages import OLDEST_VERSION, PROTOCOL_VERSION, BaseRequest, Change, Hello, PreferencesChanged, R

HANDSHAKE_SECONDS = 5.0
"""How long a connection may take to send `Hello`."""

_SINCE_2 = (
    messages.PauseJobs,
    messages.ResumeJobs,
    messages.CheckpointJobs,
    messages.RetryJobs,
    messages.KeepCheckpoints,
    messages.MoveJobs,
    messages.GetPreferences,
    messages.SetPreferences,
)


def negotiate(hello: Hello) -> int:
    """The newest version that both ends speak.

    Raises:
        ProtocolError: there is none. It says which end is older and what to do.
    """
    version = min(hello.newest, PROTOCOL_VERSION)
    if version >= max(hello.oldest, OLDEST_VERSION):
        return version
    if hello.oldest > PROTOCOL_VERSION:
        way_out = "The supervisor is older: run `saetui supervisor stop` (trainings go on), then try again."
    else:
        way_out = "This client is older than the supervisor: use the saetui that the supervisor was started with."
    theirs, ours = _range(hello.oldest, hello.newest), _range(OLDEST_VERSION, PROTOCOL_VERSION)
    raise ProtocolError(f"The client speaks protocol {theirs}, the supervisor {ours}.", way_out)


def in_parts(version: int) -> bool:
    """Whether an end that speaks a version takes the jobs of an answer in several frames."""
    return version >= 3


def understood(change: Change, version: int) -> bool:
    """Whether an end that speaks a version knows this kind of change."""
    return version >= 2 or not isinstance(change, PreferencesChanged)


def require_understood(request: BaseRequest[R], version: int) -> None:
    """Refuse a request that a supervisor which speaks a version does not know.

    Raises:
        ProtocolError: the supervisor is older than the request.
    """
    since = _since(request)
    if version < since:
        raise ProtocolError(
            f"The supervisor is older (protocol {version}) and cannot do this; protocol {since} can.",
            "Run `saetui supervisor stop` (trainings go on), then try again: the new one takes over.",
        )


def _since(request: BaseRequest[R]) -> int:
    if isinstance(request, messages.EditTemplate) and request.spec is not None:
        return 4
    if isinstance(request, messages.GetDeletedTemplates):
        return 3
    starts_later = isinstance(request, messages.Submit) and request.after is not None
    return 2 if starts_later or isinstance(request, _SINCE_2) else 1


def _range(oldest: int, newest: int) -> str:
    return str(newest) if oldest == newest else f"{oldest} to {newest}"
