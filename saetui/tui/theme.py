"""Colours: dark slate with emerald, what each state looks like, and what a terminal with few colours gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from textual.theme import BUILTIN_THEMES, Theme

from saetui.jobs.job import Job, Status
from saetui.jobs.preferences import THEMES


@dataclass(frozen=True)
class Look:
    """How a state is shown. The glyph and the word say it without colour."""

    glyph: str
    word: str
    variable: str


LOOKS: Mapping[Status, Look] = {
    Status.QUEUED: Look("◌", "queued", "state-queued"),
    Status.STARTING: Look("◔", "starting", "state-starting"),
    Status.RUNNING: Look("●", "running", "state-running"),
    Status.PAUSED: Look("‖", "paused", "state-paused"),
    Status.STOPPING: Look("◕", "stopping", "state-stopping"),
    Status.COMPLETED: Look("✓", "completed", "state-completed"),
    Status.STOPPED: Look("■", "stopped", "state-stopped"),
    Status.FAILED: Look("✗", "failed", "state-failed"),
    Status.LOST: Look("?", "lost", "state-lost"),
}

_ON_ITS_WAY = {
    "pausing": "state-paused",
    "unloading": "state-paused",
    "resuming": "state-running",
    "degraded": "state-stopping",
}
"""States between two states, or amiss: the colour of what comes."""


def look_of(job: Job) -> Look:
    """How a job's state is shown, with what is on its way."""
    look = LOOKS[job.status]
    return Look(look.glyph, job.state, _ON_ITS_WAY.get(job.state, look.variable))


VARIABLES: Mapping[str, str] = {
    "state-queued": "#8aa4c0",
    "state-starting": "#38bdf8",
    "state-running": "#34d399",
    "state-paused": "#facc15",
    "state-stopping": "#fb923c",
    "state-completed": "#86d98f",
    "state-stopped": "#a8b3bf",
    "state-failed": "#f87171",
    "state-lost": "#c792ea",
    "muted": "#7d8c9c",
    "faint": "#44546a",
    "line": "#2b3a4a",
    "strong": "#f1f5f9",
    "cursor": "#1d3b3a",
    "curve-1": "#34d399",
    "curve-2": "#60a5fa",
    "curve-3": "#fbbf24",
    "curve-4": "#f472b6",
    "curve-5": "#22d3ee",
    "curve-6": "#a78bfa",
    "curve-7": "#fb923c",
    "curve-8": "#a3e635",
}
"""saetui's own CSS variables, as the default theme has them."""

CURVES = tuple(f"curve-{index}" for index in range(1, 9))

SAETUI = Theme(
    name="saetui",
    primary="#34d399",
    secondary="#60a5fa",
    accent="#2dd4bf",
    warning="#fbbf24",
    error="#f87171",
    success="#86d98f",
    foreground="#cfd8e3",
    background="#0f1720",
    surface="#131d28",
    panel="#1a2633",
    boost="#1f2d3b",
    variables={
        **VARIABLES,
        "block-cursor-background": "#1d3b3a",
        "block-cursor-foreground": "#f1f5f9",
        "block-cursor-text-style": "none",
        "input-cursor-background": "#34d399",
        "input-selection-background": "#34d399 30%",
        "border": "#34d399",
        "border-blurred": "#2b3a4a",
        "scrollbar": "#2b3a4a",
        "scrollbar-hover": "#44546a",
        "scrollbar-active": "#34d399",
        "scrollbar-background": "#0f1720",
        "footer-key-foreground": "#34d399",
    },
)

_ANSI_STATES = {
    "state-queued": "ansi_bright_blue",
    "state-starting": "ansi_cyan",
    "state-running": "ansi_green",
    "state-paused": "ansi_yellow",
    "state-stopping": "ansi_yellow",
    "state-completed": "ansi_green",
    "state-stopped": "ansi_default",
    "state-failed": "ansi_red",
    "state-lost": "ansi_magenta",
    "muted": "ansi_bright_black",
    "faint": "ansi_bright_black",
    "line": "ansi_bright_black",
    "strong": "ansi_default",
    "cursor": "ansi_bright_black",
    "curve-1": "ansi_green",
    "curve-2": "ansi_blue",
    "curve-3": "ansi_yellow",
    "curve-4": "ansi_magenta",
    "curve-5": "ansi_cyan",
    "curve-6": "ansi_bright_magenta",
    "curve-7": "ansi_red",
    "curve-8": "ansi_bright_green",
}

SAETUI_ANSI = Theme(
    name="saetui-ansi",
    ansi=True,
    primary="ansi_green",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        **BUILTIN_THEMES["ansi-dark"].variables,
        **_ANSI_STATES,
        "block-cursor-background": "ansi_green",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-text-style": "none",
        "input-cursor-background": "ansi_green",
        "input-cursor-foreground": "ansi_black",
        "border": "ansi_green",
        "border-blurred": "ansi_bright_black",
        "footer-key-foreground": "ansi_green",
    },
)
"""For terminals with 16 colours, and under NO_COLOR (where Textual then drops every colour)."""

OWN_THEMES = (SAETUI, SAETUI_ANSI)
OFFERED_THEMES = tuple(name for name in THEMES if name != "auto")


def theme_named(name: str) -> str:
    """The theme that a preference means: `auto` is what the terminal can show, and NO_COLOR is always obeyed."""
    return theme_for_terminal() if name == "auto" or "NO_COLOR" in os.environ else name


def theme_for_terminal(environment: Mapping[str, str] = os.environ) -> str:
    """The theme that this terminal can show."""
    if "NO_COLOR" in environment:
        return SAETUI_ANSI.name
    rich_colours = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    terminal = environment.get("TERM", "")
    many_colours = "256color" in terminal or "direct" in terminal or "kitty" in terminal or "ghostty" in terminal
    return SAETUI.name if rich_colours or many_colours else SAETUI_ANSI.name
