"""What screens may ask of the app. Screens and widgets know `Shell` alone: neither the app nor the socket behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from textual.message import Message
from textual.screen import Screen

from saetui.client.link import Unreachable
from saetui.errors import SaetuiError
from saetui.jobs.preferences import PreferenceValue
from saetui.protocol.messages import BaseRequest, Event, R, Snapshot
from saetui.tui.draft import Draft
from saetui.tui.state import Model

Answer = TypeVar("Answer")


class Source(Protocol):
    """Sends news and takes requests: `saetui.client.link.Link`, or a fixed one to draw pictures of."""

    def updates(self) -> AsyncIterator[Snapshot | Event | Unreachable]: ...

    async def request(self, request: BaseRequest[R], timeout: float = 60.0) -> R: ...

    async def close(self) -> None: ...


class ModelChanged(Message, bubble=False):
    """To screens: show the newest model. A newer message replaces an older one."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ModelChanged)


@dataclass(frozen=True)
class Undoable:
    """A change of the templates that these requests undo."""

    name: str
    requests: tuple[BaseRequest[Any], ...]


class Shell(Protocol):
    """The app, as screens know it.

    Attributes:
        model: the newest state; screens read it and never change it.
        ascii_charts: draw charts in ASCII letters.
        chosen_charts: the columns whose charts come first.
        wanted_job: the id of a job that the list highlights as soon as it has the job.
        kept_draft: the form that was left without a start, for as long as the app runs.
        undoable: changes of the templates, the newest last, for as long as the app runs.
    """

    model: Model
    ascii_charts: bool
    chosen_charts: tuple[str, ...]
    wanted_job: str | None
    kept_draft: Draft | None
    undoable: list[Undoable]

    async def request(self, request: BaseRequest[R]) -> R:
        """The supervisor's answer.

        Raises:
            SaetuiError: it refuses, or cannot be reached.
        """
        ...

    async def attempt(self, request: BaseRequest[R], title: str = ...) -> R | None:
        """The supervisor's answer; where it refuses or cannot be reached a dialog with that title says so, and it is None."""
        ...

    async def ask(self, dialog: Screen[Answer]) -> Answer:
        """Open a dialog and wait for its result. Only in a worker."""
        ...

    def redraw(self) -> None:
        """Let the screen in front draw the newest model; those that it covers do so when they are in front again."""

    def show_error(self, error: SaetuiError, title: str = ...) -> None:
        """Open a dialog with an error and its way out."""

    def open_form(self, spec: dict[str, Any] | None = None, template: str | None = None) -> None:
        """Open New training, filled from a spec (that of a job or a template) or with defaults."""

    def open_templates(self) -> None:
        """Open the templates."""

    def copy(self, text: str, name: str) -> None:
        """Put a text on the clipboard of the user's terminal. `name`: what the notice calls it."""

    def choose_charts(self, columns: tuple[str, ...]) -> None:
        """Show these charts first, and keep the choice."""

    def set_preference(self, name: str, value: PreferenceValue) -> object:
        """Keep a preference, for this window and every other."""
