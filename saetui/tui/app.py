"""The application: it holds the connection and the model, and decides when screens redraw."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from textual import work
from textual.app import App
from textual.binding import BindingType
from textual.events import Key, Paste, Resize
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from saetui.client.link import Unreachable
from saetui.client.liveness import Unresponsive
from saetui.errors import SaetuiError
from saetui.home import Home
from saetui.jobs.damage import acknowledge_damage, read_damage
from saetui.jobs.job import Job
from saetui.jobs.notices import has_ended
from saetui.jobs.preferences import DEFAULT_CHARTS, PreferenceValue, chosen_charts
from saetui.protocol.messages import BaseRequest, Event, JobChanged, PreferencesChanged, R, SetPreferences, Snapshot
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.draft import Draft
from saetui.tui.key_queue import KeyQueue
from saetui.tui.palette import Palette
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.dialog import ErrorScreen
from saetui.tui.screens.too_small import TooSmallScreen, is_too_small
from saetui.tui.shell import Answer, ModelChanged, Source, Undoable
from saetui.tui.state import Connection, Model
from saetui.tui.terminal import copied_note, give_notice, leave_when_gone
from saetui.tui.theme import OFFERED_THEMES, offered_theme, theme_for_terminal, theme_named

REPAINT_SECONDS = 0.5
"""New figures are shown twice a second at most, however often they come: a slow line must keep up."""


class SaetuiApp(App[None]):
    """The TUI, and the `Shell` of its screens. It never supervises: leaving it changes nothing for a job."""

    CSS_PATH = "style.tcss"
    TITLE = "saetui"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.APP)]
    ENABLE_COMMAND_PALETTE = False
    """Textual's own palette has its own list of commands; ours comes from the table."""

    def __init__(
        self, source: Source, *, home: Home | None = None, job: str | None = None, theme: str | None = None
    ) -> None:
        """
        Args:
            source: sends news and takes requests.
            home: where losses of damaged files are noted; None: none are reported.
            job: the id of the job to highlight first.
            theme: a theme's name; None: what the terminal can show.
        """
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._show_theme(theme or theme_for_terminal())
        self.animation_level = "none"
        self.model = Model()
        self.ascii_charts = False
        self.chosen_charts: tuple[str, ...] = ()
        self.wanted_job = job
        self.kept_draft: Draft | None = None
        self.undoable: list[Undoable] = []
        self._given_theme = theme
        self._source = source
        self._home = home
        self._ended: list[Job] = []
        self._news: list[Snapshot | Event | Unreachable] = []
        self._stale = False
        self._repainting: Timer | None = None
        self._trouble_shown = False
        self.key_queue = KeyQueue(self, super().post_message, self._say_left_out)

    def get_default_screen(self) -> Screen[Any]:
        from saetui.tui.screens.jobs import JobsScreen

        return JobsScreen()

    def on_mount(self) -> None:
        self._follow()
        self._repaint_every(REPAINT_SECONDS)
        # After `fg` the terminal is empty, and Textual sends only what has changed since.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        if not self.is_headless:
            leave_when_gone(self)

    def on_resize(self, event: Resize) -> None:
        if is_too_small(event.size) and not any(isinstance(screen, TooSmallScreen) for screen in self.screen_stack):
            self.push_screen(TooSmallScreen())

    @work(exclusive=True, group="supervisor")
    async def _follow(self) -> None:
        """Read news for as long as the app runs. The app handles what has come together after its earlier messages."""
        async for news in self._source.updates():
            self._news.append(news)
            if len(self._news) == 1:
                self.call_later(self._take_news)

    def _take_news(self) -> None:
        news, self._news = self._news, []
        for one in news:
            if isinstance(one, Snapshot):
                self._take_snapshot(one)
            elif isinstance(one, Event):
                self._take_event(one)
            else:
                self.lose(one.error)
        if self._ended and self.model.preferences is not None:
            give_notice(self, self._ended, self.model.preferences)
        self._ended = []

    def _take_snapshot(self, snapshot: Snapshot) -> None:
        was_lost = self.model.connection is Connection.LOST
        # A job may have ended while nothing came from the supervisor.
        self._ended += [job for job in snapshot.jobs if has_ended(self.model.jobs.get(job.id), job)]
        if not self.model.known:
            self._show_losses()
        self.model.replace(snapshot)
        if self._trouble_shown and isinstance(self.screen, ErrorScreen):
            self.screen.dismiss(None)
        elif was_lost:
            self.notify("The supervisor answers again.")
        self._trouble_shown = False
        self._apply_preferences()
        self.redraw()

    def _take_event(self, event: Event) -> None:
        change = event.change
        if isinstance(change, JobChanged) and has_ended(self.model.jobs.get(change.job.id), change.job):
            self._ended.append(change.job)
        if self.model.apply(change):
            self._stale = True
            return
        if isinstance(change, PreferencesChanged):
            self._apply_preferences()
        self.redraw()

    def lose(self, error: SaetuiError) -> None:
        """The supervisor is gone. A dialog says so only when it will not come back by itself."""
        never_there = not self.model.known
        self.model.lose()
        hangs = isinstance(error, Unresponsive)
        if (never_there or hangs) and not self._trouble_shown:
            self._trouble_shown = True
            self.show_error(error, "The supervisor does not answer" if hangs else "The supervisor cannot be started")
        self.redraw()

    def _show_losses(self) -> None:
        """Show what damaged files have cost, as the supervisor found when it started. Closing the dialog is enough."""
        home = self._home
        losses = read_damage(home.root) if home is not None else []
        if home is None or not losses:
            return

        def acknowledged(_: None) -> None:
            try:
                acknowledge_damage(home.root)
            except OSError as error:
                self.notify(f"This will be shown again: {error}", severity="warning", markup=False)

        self.push_screen(
            ErrorScreen(
                "A file of saetui was damaged" if len(losses) == 1 else "Files of saetui were damaged",
                "\n\n".join(loss.sentence() for loss in losses),
                "`saetui doctor` lists this too, until you close this dialog.",
            ),
            acknowledged,
        )

    def post_message(self, message: Message) -> bool:
        """As every widget does, but keys and pastes from the terminal go through the queue."""
        if isinstance(message, (Key, Paste)) and not message.is_forwarded:
            self.key_queue.put(message)
            return True
        return super().post_message(message)

    def _say_left_out(self, count: int) -> None:
        keys = "1 key that was" if count == 1 else f"{count} keys that were"
        self.notify(f"The last key took long: {keys} typed meanwhile did nothing.", severity="warning")

    def redraw(self) -> None:
        self._stale = False
        if isinstance(self.screen, SaetuiScreen):
            self.screen.post_message(ModelChanged())

    def _apply_preferences(self) -> None:
        preferences = self.model.preferences
        if preferences is None:
            return
        self.ascii_charts = preferences.ascii_charts
        self.chosen_charts = chosen_charts(preferences)
        self._repaint_every(preferences.refresh_seconds)
        theme = self._given_theme or theme_named(preferences.theme)
        if theme in OFFERED_THEMES and theme != self.theme:
            self._show_theme(theme)

    def _show_theme(self, name: str) -> None:
        self.register_theme(offered_theme(name))
        self.theme = name

    def _repaint_every(self, seconds: float) -> None:
        if self._repainting is not None:
            self._repainting.stop()
        self._repainting = self.set_interval(seconds, lambda: self.redraw() if self._stale else None)

    async def request(self, request: BaseRequest[R]) -> R:
        return await self._source.request(request)

    async def attempt(self, request: BaseRequest[R], title: str = "That did not work") -> R | None:
        try:
            return await self.request(request)
        except SaetuiError as error:
            self.show_error(error, title)
            return None

    async def ask(self, dialog: Screen[Answer]) -> Answer:
        with self.key_queue.asking(dialog):
            return await self.push_screen_wait(dialog)

    def show_error(self, error: SaetuiError, title: str = "That did not work") -> None:
        self.push_screen(ErrorScreen(title, error.message, error.suggestion))

    def open_form(self, spec: dict[str, Any] | None = None, template: str | None = None) -> None:
        from saetui.tui.screens.new_training import NewTrainingScreen

        def started(job: Job | None) -> None:
            if job is not None:
                self.wanted_job = job.id
                self.redraw()

        self.push_screen(NewTrainingScreen(spec, template), started)

    def open_templates(self) -> None:
        from saetui.tui.screens.templates import TemplatesScreen

        self.push_screen(TemplatesScreen())

    def copy(self, text: str, name: str) -> None:
        note, severity = copied_note(text, name)
        if severity == "information":
            self.copy_to_clipboard(text)
        self.notify(note, severity=severity, markup=False)

    @work(group="preferences")
    async def set_preference(self, name: str, value: PreferenceValue) -> None:
        try:
            await self.request(SetPreferences({name: value}))
        except SaetuiError as error:
            self.notify(f"Not kept for the next time: {error.message}", severity="warning", markup=False)

    async def action_back(self) -> None:
        screen = self.screen
        if isinstance(screen, SaetuiScreen) and screen.step_back():
            return
        if len(self.screen_stack) > 1:
            screen.dismiss(None)

    def action_help(self) -> None:
        from saetui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_palette(self) -> None:
        self.push_screen(Palette())

    def action_theme(self) -> None:
        after = OFFERED_THEMES.index(self.theme) + 1
        self._show_theme(OFFERED_THEMES[after % len(OFFERED_THEMES)])
        self._given_theme = None
        self.set_preference("theme", self.theme)
        self.notify(f"Theme: {self.theme}")

    def action_ascii(self) -> None:
        self.ascii_charts = not self.ascii_charts
        self.set_preference("ascii_charts", self.ascii_charts)
        self.redraw()

    def choose_charts(self, columns: tuple[str, ...]) -> None:
        self.chosen_charts = columns
        self.set_preference("charts", ",".join(columns) or DEFAULT_CHARTS)
        self.redraw()

    def action_settings(self) -> None:
        from saetui.tui.screens.settings import SettingsScreen

        if not isinstance(self.screen, SettingsScreen):
            self.push_screen(SettingsScreen())

    def action_leave(self) -> None:
        self.exit()

    def _fatal_error(self) -> None:
        """Close the screens. Textual would print the whole traceback; `saetui.tui.session` keeps it in a file."""
        self._close_messages_no_wait()
