"""The application: it holds the connection and the model, and decides when screens redraw. `run` is the entry."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
from typing import Any, ClassVar

from textual import work
from textual.app import App
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.screen import Screen
from textual.timer import Timer

from saetui.client.link import Link, Unreachable
from saetui.client.liveness import Unresponsive
from saetui.errors import SaetuiError
from saetui.home import Home
from saetui.jobs.damage import acknowledge_damage, read_damage
from saetui.jobs.job import Job
from saetui.jobs.preferences import PreferenceValue
from saetui.protocol.messages import PreferencesChanged, Snapshot
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.commands import Commands, Source
from saetui.tui.messages import ModelChanged, SupervisorLost, SupervisorNews
from saetui.tui.palette import ActionCommands
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.state import Connection, Model
from saetui.tui.theme import OFFERED_THEMES, OWN_THEMES, VARIABLES, theme_for_terminal, theme_named

REPAINT_SECONDS = 0.5
"""Live figures are shown twice a second at most, however often they come: a slow line must keep up."""

HANG_UP_SECONDS = 2.0
"""How long an orderly end may take once the terminal is gone."""


class SaetuiApp(App[None]):
    """The TUI. It watches and asks; it never supervises: leaving it changes nothing for a job."""

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
            source: where news come from and requests go.
            home: of what damaged files have cost it the user is told; None: of nothing.
            job: the id of the job to highlight first.
            theme: a theme's name; None: what the terminal can show.
        """
        chosen = theme or theme_for_terminal()
        self._given_theme = theme
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        for own in OWN_THEMES:
            self.register_theme(own)
        self.theme = chosen
        self.animation_level = "none"
        self.model = Model()
        self.commands = Commands(source)
        self.ascii_charts = False
        self.wanted_job = job
        self._source = source
        self._home = home
        self._stale = False
        self._repainting: Timer | None = None
        self._told_of_trouble = False

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """saetui's own variables, for the themes that do not have them."""
        return dict(VARIABLES)

    def get_default_screen(self) -> Screen[Any]:
        from saetui.tui.screens.jobs import JobsScreen

        return JobsScreen()

    def on_mount(self) -> None:
        self._follow()
        self._repaint_every(REPAINT_SECONDS)
        if not self.is_headless:
            self._watch_terminal()

    @work(exclusive=True, group="supervisor")
    async def _follow(self) -> None:
        """Read news for as long as the app lives. Only messages leave this worker."""
        async for news in self._source.updates():
            self.post_message(SupervisorLost(news.error) if isinstance(news, Unreachable) else SupervisorNews(news))

    def on_supervisor_news(self, event: SupervisorNews) -> None:
        if isinstance(event.news, Snapshot):
            was_lost = self.model.connection is Connection.LOST
            if not self.model.known:
                self._tell_losses()
            self.model.replace(event.news)
            self._close_trouble(was_lost)
            self._obey_preferences()
            self.show_now()
        elif self.model.apply(event.news.change):
            self._stale = True
        else:
            if isinstance(event.news.change, PreferencesChanged):
                self._obey_preferences()
            self.show_now()

    def on_supervisor_lost(self, event: SupervisorLost) -> None:
        self.lose(event.error)

    def lose(self, error: SaetuiError) -> None:
        """The supervisor is gone, and why. Said aloud only when it will not come back by itself."""
        never_there = not self.model.known
        self.model.lose(error.message)
        hangs = isinstance(error, Unresponsive)
        if (never_there or hangs) and not self._told_of_trouble:
            self._told_of_trouble = True
            self.tell(error, "The supervisor does not answer" if hangs else "The supervisor cannot be started")
        self.show_now()

    def _tell_losses(self) -> None:
        """Say what damaged files have cost. The supervisor has found that when it started; closing the notice is enough."""
        home = self._home
        losses = read_damage(home.root) if home is not None else []
        if home is None or not losses:
            return
        from saetui.tui.screens.confirm import ErrorScreen

        def acknowledged(_: None) -> None:
            try:
                acknowledge_damage(home.root)
            except OSError as error:
                self.notify(f"It will be said again: {error}", severity="warning", markup=False)

        self.push_screen(
            ErrorScreen(
                "A file of saetui was damaged" if len(losses) == 1 else "Files of saetui were damaged",
                "\n\n".join(loss.sentence() for loss in losses),
                "Closing this says that you know; `saetui doctor` lists it until then.",
            ),
            acknowledged,
        )

    def show_now(self) -> None:
        """Let every screen on the stack draw the newest model."""
        self._stale = False
        for screen in self.screen_stack:
            if isinstance(screen, SaetuiScreen):
                screen.post_message(ModelChanged())

    def _obey_preferences(self) -> None:
        """Look and behave as the user prefers, from now on."""
        preferences = self.model.preferences
        if preferences is None:
            return
        self.ascii_charts = preferences.ascii_charts
        self._repaint_every(preferences.refresh_seconds)
        theme = self._given_theme or theme_named(preferences.theme)
        if theme in self.available_themes and theme != self.theme:
            self.theme = theme

    def _repaint_every(self, seconds: float) -> None:
        if self._repainting is not None:
            self._repainting.stop()
        self._repainting = self.set_interval(seconds, self._show_if_stale)

    def _show_if_stale(self) -> None:
        if self._stale:
            self.show_now()

    def _close_trouble(self, was_lost: bool) -> None:
        from saetui.tui.screens.confirm import ErrorScreen

        if self._told_of_trouble and isinstance(self.screen, ErrorScreen):
            self.screen.dismiss(None)
        elif was_lost:
            self.notify("The supervisor answers again.")
        self._told_of_trouble = False

    def tell(self, error: SaetuiError, title: str = "That did not work") -> None:
        """Show an error to read."""
        from saetui.tui.screens.confirm import ErrorScreen

        self.push_screen(ErrorScreen(title, error.message, error.suggestion))

    def open_form(self, spec: dict[str, Any] | None = None, template: str | None = None) -> None:
        """Open New training, filled from a spec (that of a job or a template) or with defaults."""
        from saetui.tui.screens.new_training import NewTrainingScreen

        def started(job: Job | None) -> None:
            if job is not None:
                self.wanted_job = job.id
                self.show_now()

        self.push_screen(NewTrainingScreen(spec, template), started)

    def open_templates(self) -> None:
        """Open the templates."""
        from saetui.tui.screens.templates import TemplatesScreen

        self.push_screen(TemplatesScreen())

    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard of the user's terminal, and say so."""
        from saetui.tui.clipboard import copied_note

        note, severity = copied_note(text, what)
        if severity == "information":
            self.copy_to_clipboard(text)
        self.notify(note, severity=severity)

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
        self.push_screen(CommandPalette(providers=[ActionCommands]))

    def action_theme(self) -> None:
        names = [name for name in OFFERED_THEMES if name in self.available_themes]
        after = names.index(self.theme) + 1 if self.theme in names else 0
        self.theme = names[after % len(names)]
        self._given_theme = None
        self.prefer("theme", self.theme)
        self.notify(f"Theme: {self.theme}")

    def action_ascii(self) -> None:
        self.ascii_charts = not self.ascii_charts
        self.prefer("ascii_charts", self.ascii_charts)
        self.show_now()

    def action_settings(self) -> None:
        from saetui.tui.screens.settings import SettingsScreen

        if not isinstance(self.screen, SettingsScreen):
            self.push_screen(SettingsScreen())

    @work(group="preferences")
    async def prefer(self, name: str, value: PreferenceValue) -> None:
        """Keep a preference, for this window and every other."""
        try:
            await self.commands.set_preferences({name: value})
        except SaetuiError as error:
            self.notify(f"Not kept for the next time: {error.message}", severity="warning", markup=False)

    def action_leave(self) -> None:
        self.exit()

    def _watch_terminal(self) -> None:
        """Leave when the line is gone; Textual alone would spin on a dead terminal when SIGHUP is ignored."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        poll = select.poll()
        poll.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, 0)
        self.set_interval(1.0, lambda: self._hang_up() if poll.poll(0) else None)

    def _hang_up(self) -> None:
        end = threading.Timer(HANG_UP_SECONDS, os._exit, (0,))
        end.daemon = True
        end.start()
        self.exit()


def run(home: Home, job: str | None = None) -> int:
    """Show the TUI until the user leaves; then say what goes on without it.

    Args:
        home: where the jobs are.
        job: the id of the job to highlight.

    Returns:
        The exit status.

    Raises:
        SaetuiError: this terminal cannot show it.
    """
    if os.environ.get("TERM", "") in ("dumb", "") or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise SaetuiError(
            f"This terminal (TERM={os.environ.get('TERM', '') or 'unset'}) cannot show saetui's screens.",
            "Use the command line: `saetui jobs`, `saetui train`, `saetui watch JOB`; see `saetui --help`.",
        )
    app = SaetuiApp(Link(home), home=home, job=job)
    app.run(mouse=False)
    print(farewell(app.model))
    return app.return_code or 0


def farewell(model: Model) -> str:
    """One line for after the end: what goes on, and how to come back."""
    names = [job.name for job in model.jobs.values() if job.holds_device]
    paused = sum(job.unloaded for job in model.jobs.values())
    queued = sum(job.status.value == "queued" for job in model.jobs.values())
    if not names and not queued:
        held = f" {paused} paused." if paused else ""
        return f"No job is running.{held} `saetui` opens the list again."
    parts = []
    if names:
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        parts.append(f"{len(names)} job{'s' if len(names) > 1 else ''} running ({shown})")
    if queued:
        parts.append(f"{queued} queued")
    return f"{' and '.join(parts)}: the training goes on without this window. `saetui` shows it again."
