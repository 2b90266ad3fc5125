"""The top line: the load of the machine, how many jobs there are, and whether the supervisor answers."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.figures import percent, size_of
from saetui.display.text import one_line, shorten
from saetui.jobs.job import Status
from saetui.protocol.messages import DeviceReading
from saetui.tui.state import Connection, Model
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, length, line


class DeviceBar(LineCanvas):
    """One line. A figure that does not exist is `n/a` with the whole reason or with none, never 0."""

    DEFAULT_CSS = "DeviceBar { dock: top; height: 1; padding: 0 1; background: $panel; }"

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        muted = self.colour("muted")
        name: list[Piece] = [("saetui", self.colour("primary", bold=True)), ("  ", muted)]
        right = self._counts()
        room = width - length(name) - length(right) - 2
        if self._model.connection is Connection.LOST:
            middle = [("○ the supervisor does not answer; connecting again … jobs go on", self.colour("warning"))]
        elif self._model.device is None:
            middle = [("connecting …" if self._model.connection is Connection.CONNECTING else "", muted)]
        else:
            middle = self._device(self._model.device, room)
        gap = width - length(name) - length(middle) - length(right)
        if gap < 2:
            right, gap = [], 0
        return [line(*name, *middle, (" " * gap, muted), *right)]

    def _device(self, reading: DeviceReading, room: int) -> list[Piece]:
        """All figures with as many of their reasons as there is room for, else as many figures as fit."""
        figures = _figures(reading)
        reasons = sum(bool(missing) for _, _, missing in figures)
        attempts = [(figures, shown) for shown in range(reasons, -1, -1)]
        attempts += [(figures[:kept], 0) for kept in range(len(figures) - 1, -1, -1)]
        drawn = (self._pieces(reading.name, kept, shown) for kept, shown in attempts)
        return next((pieces for pieces in drawn if length(pieces) <= room), [])

    def _pieces(self, name: str, figures: Sequence[tuple[str, str, str | None]], reasons: int) -> list[Piece]:
        """`reasons`: how many are shown, the first ones."""
        muted, text_style = self.colour("muted"), self.colour("foreground")
        pieces: list[Piece] = [(shorten(one_line(name), 30), text_style)]
        for label, text, missing in figures:
            pieces.append((f"  {label} ", muted))
            if missing is None:
                pieces.append((text, text_style))
            elif missing and reasons:
                pieces.append((f"n/a ({one_line(missing)})", muted))
                reasons -= 1
            else:
                pieces.append(("n/a", muted))
        return pieces

    def _counts(self) -> list[Piece]:
        jobs = self._model.jobs.values()
        counts = (
            ("●", sum(job.holds_device and job.status is not Status.PAUSED for job in jobs), "running"),
            ("‖", self._model.count(Status.PAUSED), "paused"),
            ("◌", self._model.count(Status.QUEUED), "queued"),
        )
        pieces: list[Piece] = []
        for glyph, count, state in counts:
            if count:
                pieces.append((f"{'  ' if pieces else ''}{glyph} {count} {state}", self.colour(f"state-{state}")))
        return pieces


def _figures(reading: DeviceReading) -> list[tuple[str, str, str | None]]:
    """Label, text, and where there is no figure the reason ("" where none was given)."""
    why = reading.missing
    used, total = reading.memory_used, reading.memory_total
    if used is None or total is None:
        memory, no_memory = "", why.get("memory_used", why.get("memory_total", ""))
    else:
        memory, no_memory = size_of(used, total), None
    return [
        ("mem", memory, no_memory),
        ("load", percent(reading.load).rjust(4), why.get("load", "") if reading.load is None else None),
        (
            "temp",
            f"{reading.temperature or 0:.0f}°C",
            why.get("temperature", "") if reading.temperature is None else None,
        ),
        ("power", f"{reading.power or 0:.0f} W", why.get("power", "") if reading.power is None else None),
    ]
