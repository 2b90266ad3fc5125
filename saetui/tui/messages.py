"""The messages that workers post. They never touch a widget: the app folds them into its model, screens redraw."""

from __future__ import annotations

from textual.message import Message

from saetui.errors import SaetuiError
from saetui.protocol.messages import Event, Snapshot


class SupervisorNews(Message):
    """Everything that there is (on connecting), or one change."""

    def __init__(self, news: Snapshot | Event) -> None:
        super().__init__()
        self.news = news


class SupervisorLost(Message):
    """The connection is gone, or could not be made; it is being sought again."""

    def __init__(self, error: SaetuiError) -> None:
        super().__init__()
        self.error = error


class ModelChanged(Message, bubble=False):
    """To screens: show the newest model. A newer one replaces an older one."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ModelChanged)


class HistoryRead(Message):
    """New rows of the watched job's metrics or events have been read from its directory."""

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, HistoryRead) and message.job == self.job
