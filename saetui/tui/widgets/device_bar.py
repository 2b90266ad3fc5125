"""The top line: what the machine does, how many jobs there are, and whether the supervisor answers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.strip import Strip

from saetui.display.figures import percent
from saetui.display.text import one_line, shorten
from saetui.jobs.job import Status
from saetui.protocol.messages import DeviceReading
from saetui.tui.state import Connection, Model
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line

_REASON_LENGTHS = (60, 40, 28, 18, 0)
"""Letters of the reasons for missing figures, from the longest that are tried to none."""


class DeviceBar(LineCanvas):
    """One line. A figure that cannot be had is `n/a` with the reason, never 0."""

    DEFAULT_CSS = "DeviceBar { dock: top; height: 1; padding: 0 1; background: $panel; }"

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        muted = self.colour("muted")
        name: list[Piece] = [("saetui", self.colour("primary", bold=True)), ("  ", muted)]
        right = self._right()
        room = width - _length(name) - _length(right) - 2
        if self._model.connection is Connection.LOST:
            middle = [("○ the supervisor does not answer; connecting again … jobs go on", self.colour("warning"))]
        elif self._model.device is None:
            middle = [("connecting …" if self._model.connection is Connection.CONNECTING else "", muted)]
        else:
            middle = self._device(self._model.device, room)
        gap = width - _length(name) - _length(middle) - _length(right)
        if gap < 2:
            right, gap = [], 0
        return [line(*name, *middle, (" " * gap, muted), *right)]

    def _device(self, reading: DeviceReading, room: int) -> list[Piece]:
        """All figures with their reasons where there is room, then with shorter ones, then as many as fit."""
        figures = self._figures(reading)
        for longest in _REASON_LENGTHS:
            pieces = self._pieces(reading, figures, longest)
            if _length(pieces) <= room:
                return pieces
        for kept in range(len(figures) - 1, -1, -1):
            pieces = self._pieces(reading, figures[:kept], 0)
            if _length(pieces) <= room:
                return pieces
        return []

    def _pieces(
        self, reading: DeviceReading, figures: Sequence[tuple[str, str, str | None]], longest: int
    ) -> list[Piece]:
        muted, plain_style = self.colour("muted"), self.colour("foreground")
        pieces: list[Piece] = [(shorten(one_line(reading.name), 30), plain_style)]
        for label, text, missing in figures:
            pieces.append((f"  {label} ", muted))
            if missing is None:
                pieces.append((text, plain_style))
            else:
                reason = shorten(one_line(missing), longest) if longest else ""
                pieces.append((f"n/a ({reason})" if reason else "n/a", muted))
        return pieces

    def _figures(self, reading: DeviceReading) -> list[tuple[str, str, str | None]]:
        """Label, text, and where there is no figure the reason ("" where none was given)."""
        used, total = reading.memory_used, reading.memory_total
        why = reading.missing.get
        return [
            (
                "mem",
                _memory(used, total),
                why("memory_used", why("memory_total", "")) if used is None or total is None else None,
            ),
            ("load", percent(reading.load).rjust(4), why("load", "") if reading.load is None else None),
            (
                "temp",
                f"{reading.temperature or 0:.0f}°C",
                why("temperature", "") if reading.temperature is None else None,
            ),
            ("power", f"{reading.power or 0:.0f} W", why("power", "") if reading.power is None else None),
        ]

    def _right(self) -> list[Piece]:
        paused, queued = self._model.count(Status.PAUSED), self._model.count(Status.QUEUED)
        live = self._model.live - sum(
            job.status is Status.PAUSED and not job.unloaded for job in self._model.jobs.values()
        )
        pieces: list[Piece] = []
        if live:
            pieces.append((f"● {live} running", self.colour("state-running")))
        if paused:
            pieces.append((f"{'  ' if pieces else ''}‖ {paused} paused", self.colour("state-paused")))
        if queued:
            pieces.append((f"{'  ' if pieces else ''}◌ {queued} queued", self.colour("state-queued")))
        return pieces


def _memory(used: int | None, total: int | None) -> str:
    """`5.1/8.0 GB`, both in the unit of the total."""
    if used is None or total is None:
        return ""
    unit, scale = ("GB", 1e9) if total >= 1e9 else ("MB", 1e6)
    whole = f"{total / scale:.1f}" if total / scale < 100 else f"{total / scale:.0f}"
    part = f"{used / scale:.1f}" if total / scale < 100 else f"{used / scale:.0f}"
    return f"{part.rjust(len(whole))}/{whole} {unit}"


def _length(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)
