"""Colours: dark slate with emerald, a style for each state, and a theme for terminals with few colours."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from textual.color import BLACK, WHITE, Color
from textual.theme import BUILTIN_THEMES, Theme

from saetui.jobs.job import Job, Status
from saetui.jobs.preferences import THEMES


@dataclass(frozen=True)
class StateStyle:
    """How a job's state is shown. The glyph and the word tell it without colour too."""

    glyph: str
    word: str
    variable: str


STATE_STYLES: Mapping[Status, StateStyle] = {
    Status.QUEUED: StateStyle("◌", "queued", "state-queued"),
    Status.STARTING: StateStyle("◔", "starting", "state-starting"),
    Status.RUNNING: StateStyle("●", "running", "state-running"),
    Status.PAUSED: StateStyle("‖", "paused", "state-paused"),
    Status.STOPPING: StateStyle("◕", "stopping", "state-stopping"),
    Status.COMPLETED: StateStyle("✓", "completed", "state-completed"),
    Status.STOPPED: StateStyle("■", "stopped", "state-stopped"),
    Status.FAILED: StateStyle("✗", "failed", "state-failed"),
    Status.LOST: StateStyle("?", "lost", "state-lost"),
}

_BETWEEN_STATES = {
    "pausing": "state-paused",
    "unloading": "state-paused",
    "resuming": "state-running",
    "degraded": "state-stopping",
}
"""States between two others have the colour of the next one."""


def style_of(job: Job) -> StateStyle:
    """How a job's state is shown; a requested change is shown too, before it has happened."""
    style = STATE_STYLES[job.status]
    return StateStyle(style.glyph, job.state, _BETWEEN_STATES.get(job.state, style.variable))


_COLOURS: Mapping[str, tuple[str, str]] = {
    "state-queued": ("#8aa4c0", "ansi_bright_blue"),
    "state-starting": ("#38bdf8", "ansi_cyan"),
    "state-running": ("#34d399", "ansi_green"),
    "state-paused": ("#facc15", "ansi_yellow"),
    "state-stopping": ("#fb923c", "ansi_yellow"),
    "state-completed": ("#86d98f", "ansi_green"),
    "state-stopped": ("#a8b3bf", "ansi_default"),
    "state-failed": ("#f87171", "ansi_red"),
    "state-lost": ("#c792ea", "ansi_magenta"),
    "muted": ("#8492a2", "ansi_bright_black"),
    "faint": ("#44546a", "ansi_bright_black"),
    "line": ("#2b3a4a", "ansi_bright_black"),
    "strong": ("#f1f5f9", "ansi_default"),
    "cursor": ("#1d3b3a", "ansi_bright_black"),
    "curve-1": ("#34d399", "ansi_green"),
    "curve-2": ("#60a5fa", "ansi_blue"),
    "curve-3": ("#fbbf24", "ansi_yellow"),
    "curve-4": ("#f472b6", "ansi_magenta"),
    "curve-5": ("#22d3ee", "ansi_cyan"),
    "curve-6": ("#a78bfa", "ansi_bright_magenta"),
    "curve-7": ("#fb923c", "ansi_red"),
    "curve-8": ("#a3e635", "ansi_bright_green"),
}
"""saetui's own CSS variables: for true colour, and for a terminal with 16 colours."""

VARIABLES: Mapping[str, str] = {name: colour for name, (colour, _) in _COLOURS.items()}
"""saetui's own variables in the default theme."""

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
        **{name: ansi for name, (_, ansi) in _COLOURS.items()},
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

_TEXTS = ("muted", "strong", *(name for name in _COLOURS if name.startswith(("state-", "curve-"))))
"""saetui's own variables in which words or figures are written."""

READABLE = 4.5
"""The least contrast of text to its ground: level AA of WCAG 2.1 (1.4.3)."""


def contrast(first: Color, second: Color) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.1, "contrast ratio")."""

    def luminance(colour: Color) -> float:
        channels = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
        return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]

    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: str, grounds: Sequence[Color]) -> str:
    """The colour, or the nearest one towards white or black that can be read on all grounds."""
    text = Color.parse(colour)
    away = max((WHITE, BLACK), key=lambda end: min(contrast(end, ground) for ground in grounds))
    for part in range(0, 101, 4):
        found = text.blend(away, part / 100)
        if all(contrast(found, ground) >= READABLE for ground in grounds):
            return found.hex
    return away.hex


def adapted(theme: Theme) -> Theme:
    """A theme with saetui's variables in its own colours, in which all text can be read."""
    background, primary = Color.parse(theme.background or "#000000"), Color.parse(theme.primary)
    # Text stands on all of them; the farther they lie apart, the fewer colours can be read on each.
    surface, panel = (
        background.blend(Color.parse(shade or theme.primary), 0.5) for shade in (theme.surface, theme.panel)
    )
    cursor = background.blend(primary, 0.2)
    grounds = (background, surface, panel, cursor)
    selection = background.blend(primary, 0.3)
    foreground = readable(theme.foreground or (WHITE if theme.dark else BLACK).hex, (*grounds, selection))

    def text(colour: str | None) -> str:
        return readable(colour or foreground, grounds)

    away = Color.parse(foreground)
    variables = {
        **{name: text(VARIABLES[name]) for name in _TEXTS},
        "muted": text(away.blend(background, 0.45).hex),
        "strong": text(away.blend(WHITE if theme.dark else BLACK, 0.5).hex),
        "faint": background.blend(away, 0.35).hex,
        "line": background.blend(away, 0.2).hex,
        "cursor": cursor.hex,
        "curve-1": text(theme.primary),
        "block-cursor-background": cursor.hex,
        "block-cursor-foreground": foreground,
        "block-cursor-text-style": "none",
        "input-selection-background": selection.hex,
        "border": text(theme.primary),
        "border-blurred": background.blend(away, 0.2).hex,
        "footer-key-foreground": text(theme.primary),
        "text-muted": text(away.blend(background, 0.45).hex),
    }
    return Theme(
        name=theme.name,
        dark=theme.dark,
        primary=text(theme.primary),
        secondary=text(theme.secondary),
        accent=text(theme.accent),
        warning=text(theme.warning),
        error=text(theme.error),
        success=text(theme.success),
        foreground=foreground,
        background=background.hex,
        surface=surface.hex,
        panel=panel.hex,
        boost=panel.hex,
        variables={**theme.variables, **variables},
    )


OFFERED_THEMES = tuple(name for name in THEMES if name != "auto")


@cache
def offered_theme(name: str) -> Theme:
    """The theme on offer with a name. Those of Textual have other colours here: all of saetui's texts can be read."""
    own = {theme.name: theme for theme in (SAETUI, SAETUI_ANSI)}
    return own[name] if name in own else adapted(BUILTIN_THEMES[name])


def theme_named(name: str) -> str:
    """The theme of a preference: `auto` is the one that the terminal can show, and NO_COLOR always wins."""
    return theme_for_terminal() if name == "auto" or "NO_COLOR" in os.environ else name


def theme_for_terminal(environment: Mapping[str, str] = os.environ) -> str:
    """The theme that this terminal can show."""
    if "NO_COLOR" in environment:
        return SAETUI_ANSI.name
    rich_colours = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    terminal = environment.get("TERM", "")
    many_colours = "256color" in terminal or "direct" in terminal or "kitty" in terminal or "ghostty" in terminal
    return SAETUI.name if rich_colours or many_colours else SAETUI_ANSI.name
