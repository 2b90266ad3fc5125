"""The terminal: whether it can show the screens, and whether their clipboard works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

from saetui.cli.checks.finding import Finding, good, warning


def check_terminal(environment: Mapping[str, str] = os.environ, encoding: str | None = None) -> Iterator[Finding]:
    """Whether the terminal can show the screens, and the clipboard works."""
    kind = environment.get("TERM", "")
    if kind in ("", "dumb"):
        yield warning("terminal", f"TERM is {kind or 'not set'}: the screens cannot be shown.",
                      "Use a real terminal, or the commands: saetui --help")  # fmt: skip
        return
    used = (encoding or sys.stdout.encoding or "").lower().replace("-", "")
    if used != "utf8":
        yield warning("terminal", f"The terminal's encoding is {used or 'unknown'}: charts need UTF-8.",
                      "export LANG=C.UTF-8, or turn ASCII charts on in the screens (:)")  # fmt: skip
    else:
        yield good("terminal", f"{kind}, UTF-8")
    if "TMUX" in environment:
        yield _check_clipboard()


def _check_clipboard() -> Finding:
    asked = subprocess.run(["tmux", "show", "-sv", "set-clipboard"], capture_output=True, text=True, check=False)
    value = asked.stdout.strip()
    if value == "on":
        return good("clipboard", "tmux passes copies on")
    return warning("clipboard", f"tmux keeps what the screens copy to itself (set-clipboard {value or 'unknown'}).",
                   "tmux set -s set-clipboard on")  # fmt: skip
