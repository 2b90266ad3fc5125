"""The way from the command line to the screens."""

from __future__ import annotations

import os
import sys

from saetui.errors import SaetuiError
from saetui.home import find_home


def has_terminal() -> bool:
    """Whether somebody can see the screens and press keys."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def run_screens(job: str | None = None) -> int:
    """Run the screens until the user leaves; jobs go on.

    Args:
        job: the id of the job to highlight.

    Raises:
        SaetuiError: there is no terminal for them.
    """
    if not has_terminal():
        raise SaetuiError(
            "The screens need a terminal, and there is none here (or TERM is dumb).",
            "List jobs with `saetui jobs`; `saetui --help` names every command that works without one.",
        )
    from saetui.tui.app import run

    return run(find_home(), job)
