"""The errors that saetui shows to its users: each has a kind, a message and a way out."""

from __future__ import annotations

from typing import ClassVar


class SaetuiError(Exception):
    """An error that a user can understand and correct.

    Attributes:
        kind: a stable word for programs (`error.kind` with `--json`).
        message: one sentence that names the field or file, and the value.
        suggestion: what to do, or None.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message if suggestion is None else f"{message} {suggestion}")
        self.message = message
        self.suggestion = suggestion


class InvalidInput(SaetuiError):
    """The request is wrong by itself: an unknown field, a wrong type, a value outside its limits."""

    kind = "invalid_input"


class ModelError(SaetuiError):
    """The language model cannot be read, or lacks something that the request needs."""

    kind = "model"


class DatasetError(SaetuiError):
    """The text cannot be read, or is too short."""

    kind = "dataset"


class FormatError(SaetuiError):
    """A file or directory is damaged, foreign, or of another version."""

    kind = "format"


class HomeError(SaetuiError):
    """SAETUI_HOME cannot be used: no permission, no space, not a directory."""

    kind = "home"


class NotFound(SaetuiError):
    """No job, template or site has this name."""

    kind = "not_found"


class Conflict(SaetuiError):
    """The request is sound but not possible now: a name is taken, a job has ended."""

    kind = "conflict"


class SupervisorError(SaetuiError):
    """The supervisor cannot be started or reached, or another one already serves this home."""

    kind = "supervisor"


class Busy(SupervisorError):
    """The supervisor cannot accept another client at the moment."""

    kind = "busy"


class ProtocolError(SaetuiError):
    """The other end of the socket sent something that this version cannot read."""

    kind = "protocol"


class TorchError(SaetuiError):
    """torch, or what is loaded beside it, is missing, does not fit, or does not load."""

    kind = "torch"


class TrainingError(SaetuiError):
    """A training could not continue."""

    kind = "training"
