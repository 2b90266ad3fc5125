"""The clipboard over OSC 52: what fits, and what must be said about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

LIMIT = 74_994
"""Bytes that terminals accept in one OSC 52 sequence (100,000 in base64, less its frame)."""

Severity = Literal["information", "warning"]


def copied_note(text: str, what: str, environment: Mapping[str, str] = os.environ) -> tuple[str, Severity]:
    """What to tell the user about copying a text; a warning means that it is too long to be copied."""
    amount = len(text.encode())
    if amount > LIMIT:
        return (
            f"{what}: {amount:,} bytes are too many for a terminal's clipboard ({LIMIT:,}). "
            "The file itself is in the job's directory.",
            "warning",
        )
    if "TMUX" in environment:
        return f"{what} copied. (tmux passes it on only with: set -s set-clipboard on)", "information"
    return f"{what} copied.", "information"
