"""Errors across the socket: a `SaetuiError` becomes a `Failure`, and the same error again at the other end."""

from __future__ import annotations

from saetui import errors
from saetui.errors import SaetuiError
from saetui.protocol.messages import Failure
from saetui.spec.problems import SpecError

_KINDS: dict[str, type[SaetuiError]] = {
    error.kind: error
    for error in (
        errors.InvalidInput,
        errors.ModelError,
        errors.DatasetError,
        errors.FormatError,
        errors.HomeError,
        errors.NotFound,
        errors.Conflict,
        errors.SupervisorError,
        errors.Busy,
        errors.ProtocolError,
        errors.TrainingError,
    )
}


def failure_of(error: SaetuiError, request: int | None = None) -> Failure:
    """The refusal that carries an error to the client that asked."""
    return Failure(
        id=request,
        kind=error.kind,
        message=error.message,
        suggestion=error.suggestion,
        problems=error.problems if isinstance(error, SpecError) else (),
    )


def error_of(failure: Failure) -> SaetuiError:
    """The error that a refusal carries; of an unknown kind it is a plain `SaetuiError`."""
    if failure.problems:
        return SpecError(failure.problems)
    return _KINDS.get(failure.kind, SaetuiError)(failure.message, failure.suggestion)
