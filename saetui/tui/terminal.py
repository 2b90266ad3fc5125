"""The user's terminal: whether it can show saetui, its clipboard and notices, and leaving once it is gone."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from textual.app import App

from saetui.errors import SaetuiError
from saetui.jobs.job import Job, Status
from saetui.jobs.notices import desktop_notice, ended_notice
from saetui.jobs.preferences import Preferences

CLIPBOARD_LIMIT = 74_994
"""Bytes that terminals accept in one OSC 52 sequence (100,000 in base64, less its frame)."""

HANG_UP_SECONDS = 2.0
"""How long an orderly end may take once the terminal is gone."""

Severity = Literal["information", "warning"]


def require_screen() -> None:
    """Check that standard input and output are a terminal that can show screens.

    Raises:
        SaetuiError: they are not.
    """
    terminal = os.environ.get("TERM", "")
    if terminal in ("dumb", "") or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise SaetuiError(
            f"This terminal (TERM={terminal or 'unset'}) cannot show saetui's screens.",
            "Use the command line: `saetui jobs`, `saetui train`, `saetui watch JOB`; see `saetui --help`.",
        )


def leave_when_gone(app: App[Any]) -> None:
    """End the app when its terminal is gone; Textual alone would spin on a dead terminal when SIGHUP is ignored."""

    def hang_up() -> None:
        end = threading.Timer(HANG_UP_SECONDS, os._exit, (0,))
        end.daemon = True
        end.start()
        app.exit()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
    poll = select.poll()
    poll.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, 0)
    app.set_interval(1.0, lambda: hang_up() if poll.poll(0) else None)


def give_notice(app: App[Any], ended: Sequence[Job], preferences: Preferences) -> None:
    """One notice for all jobs that ended in the news just read, on the ways that the preferences allow."""
    text = ended_notice(ended)
    bad = any(job.status is not Status.COMPLETED for job in ended)
    if preferences.notices:
        app.notify(text, severity="error" if bad else "information", markup=False)
    if preferences.bell:
        app.bell()
    if preferences.desktop_notices and app._driver is not None:
        app._driver.write(desktop_notice(text))


def copied_note(text: str, name: str, environment: Mapping[str, str] = os.environ) -> tuple[str, Severity]:
    """The notice for a text that is copied over OSC 52; a warning means that it is too long to be copied."""
    length = len(text.encode())
    if length > CLIPBOARD_LIMIT:
        return (
            f"{name}: {length:,} bytes are too many for a terminal's clipboard ({CLIPBOARD_LIMIT:,}). "
            "The file itself is in the job's directory.",
            "warning",
        )
    if "TMUX" in environment:
        return f"{name} copied. (tmux passes it on only with: set -s set-clipboard on)", "information"
    return f"{name} copied.", "information"
