"""The errors that saetui shows to its users: each has a kind, a message, and a way out."""

from __future__ import annotations

from typing import ClassVar


class SaetuiError(Exception):
    """Something went wrong that a user can understand and act on.

    Attributes:
        kind: a stable word for programs (`error.kind` with `--json`).
        message: one sentence that names the thing and the value.
        suggestion: what to do about it, or None where nothing can be said.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message if suggestion is None else f"{message} {suggestion}")
        self.message = message
        self.suggestion = suggestion


class InvalidInput(SaetuiError):
    """What was asked for is wrong in itself: an unknown field, a bad type, a value out of its limits."""

    kind = "invalid_input"


class ModelError(SaetuiError):
    """The language model cannot be read, or lacks what was asked of it."""

    kind = "model"


class DatasetError(SaetuiError):
    """The text cannot be read, or there is too little of it."""

    kind = "dataset"


class FormatError(SaetuiError):
    """A file or directory is not what it should be: damaged, foreign, or of another version."""

    kind = "format"


class HomeError(SaetuiError):
    """SAETUI_HOME cannot be used: no permission, no space, not a directory."""

    kind = "home"


class NotFound(SaetuiError):
    """No job, template or site answers to that name."""

    kind = "not_found"


class Conflict(SaetuiError):
    """The request is sound but does not go with the present state: a name taken, a job already ended."""

    kind = "conflict"


class SupervisorError(SaetuiError):
    """The supervisor cannot be started or reached, or another one already serves this home."""

    kind = "supervisor"


class Busy(SupervisorError):
    """The supervisor cannot take one more client just now."""

    kind = "busy"


class ProtocolError(SaetuiError):
    """The other end of the socket sent what this version cannot understand."""

    kind = "protocol"


class TrainingError(SaetuiError):
    """A training could not go on."""

    kind = "training"
