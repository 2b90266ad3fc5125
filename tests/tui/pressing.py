"""Driving the app by keys, and waiting for what they bring about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen

_DEADLINE_SECONDS = 15.0


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str = "") -> None:
    """Go on as soon as the condition holds."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what or condition}"
        await pilot.pause(0.01)


def screen_text(screen: Screen[Any]) -> str:
    """What the screen shows, as lines of text."""
    strips = screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)
