"""The terminal: whether it can show the screens and their colours, and whether their clipboard works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

from rich.console import Console

from saetui.cli.checks.finding import Finding, good, warning

TMUX_SECONDS = 5.0
_MANY_COLOURS = {"truecolor": "16.7 million", "256": "256"}


def check_terminal(environment: Mapping[str, str] = os.environ, encoding: str | None = None) -> Iterator[Finding]:
    """Whether the terminal can show the screens, and the clipboard works.

    Args:
        environment: of the session.
        encoding: of the output; by default Python's own.
    """
    kind = environment.get("TERM", "")
    if kind in ("", "dumb"):
        yield warning("terminal", f"TERM is {kind or 'not set'}: the screens cannot be shown.",
                      "Use a real terminal, or the commands: saetui --help")  # fmt: skip
        return
    used = (encoding or sys.stdout.encoding or "").lower().replace("-", "")
    if used != "utf8":
        yield warning("terminal", f"The terminal's encoding is {used or 'unknown'}: charts need UTF-8.",
                      "export LANG=C.UTF-8, or draw charts in ASCII: saetui config set ascii_charts on")  # fmt: skip
    elif kind == "linux":
        yield warning("terminal", "The fonts of the Linux console have no braille dots, which charts are made of.",
                      "Use ssh or a graphical terminal, or: saetui config set ascii_charts on")  # fmt: skip
    else:
        yield good("terminal", f"{kind}, UTF-8")
    yield _colours(kind, environment)
    if "TMUX" in environment:
        yield from _tmux(environment)


def _colours(kind: str, environment: Mapping[str, str]) -> Finding:
    if environment.get("NO_COLOR"):
        return good("colours", "none, as NO_COLOR asks")
    # What the screens use is decided by the same library.
    system = Console(force_terminal=True, _environ=environment).color_system
    if system in _MANY_COLOURS:
        return good("colours", _MANY_COLOURS[system])
    way_out = (
        "tmux set -g default-terminal tmux-256color, and open the window again"
        if "TMUX" in environment
        else "export TERM=xterm-256color, where the terminal shows that many"
    )
    return warning("colours", f"Only 16 (TERM={kind}): lines of a chart are hard to tell apart.", way_out)


def _tmux(environment: Mapping[str, str]) -> Iterator[Finding]:
    if _ask_tmux(environment, "display", "-p", "#{client_utf8}") == "0":
        yield warning("tmux", "tmux shows _ in place of braille: it was started without a UTF-8 locale.",
                      "Attach again with: tmux -u attach")  # fmt: skip
    value = _ask_tmux(environment, "show", "-sv", "set-clipboard")
    if value == "on":
        yield good("clipboard", "tmux passes copies on")
    else:
        yield warning("clipboard", f"tmux keeps what the screens copy to itself (set-clipboard {value or 'unknown'}).",
                      "tmux set -s set-clipboard on")  # fmt: skip


def _ask_tmux(environment: Mapping[str, str], *command: str) -> str:
    """What this tmux answers; empty where it does not."""
    try:
        asked = subprocess.run(["tmux", *command], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, check=False, timeout=TMUX_SECONDS)  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()
