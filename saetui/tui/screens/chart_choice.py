"""Choosing which charts come first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip

from saetui.tui.actions import Scope, bindings_for
from saetui.tui.metrics import METRICS
from saetui.tui.screens.dialog import Dialog
from saetui.tui.widgets.line_canvas import filled, line
from saetui.tui.widgets.line_list import LineList


class ChartChoice(Dialog[tuple[str, ...] | None]):
    """All charts, the chosen ones numbered. The result is their columns in order; None: cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.CHART_CHOICE)]

    def __init__(self, chosen: Sequence[str]) -> None:
        super().__init__("Charts that come first", "space choose   x default   ⏎ keep   esc cancel")
        self._list = ChartList(chosen)

    def compose_body(self) -> ComposeResult:
        yield self._list

    def on_mount(self) -> None:
        self._list.focus()

    def fit_body(self, rows: int) -> None:
        self._list.styles.height = min(len(METRICS), rows)

    def action_choose(self) -> None:
        self._list.toggle()

    def action_reset(self) -> None:
        self._list.reset()

    def action_keep(self) -> None:
        self.dismiss(tuple(self._list.chosen))


class ChartList(LineList):
    """The charts; those that were chosen have their place before their title."""

    def __init__(self, chosen: Sequence[str]) -> None:
        super().__init__()
        self.chosen = list(chosen)

    def row_count(self) -> int:
        return len(METRICS)

    def toggle(self) -> None:
        """Choose the highlighted chart, as the last of the first, or not any more; go to the next line."""
        column = METRICS[self.cursor].column
        if column in self.chosen:
            self.chosen.remove(column)
        else:
            self.chosen.append(column)
        self.repaint()
        self.action_cursor_down()

    def reset(self) -> None:
        """Choose none: the charts stand as they do by default."""
        self.chosen = []
        self.repaint()

    def row(self, index: int, width: int, selected: bool) -> Strip:
        metric = METRICS[index]
        on = "cursor" if selected else ""
        is_chosen = metric.column in self.chosen
        place = f"{self.chosen.index(metric.column) + 1:2}  " if is_chosen else "    "
        title = self.colour("strong" if is_chosen else "foreground", bold=is_chosen, on=on)
        pieces = (self.cursor_mark(selected, on), (place, self.colour("primary", on=on)), (metric.title, title))
        return filled(line(*pieces), width, self.colour("foreground", on=on))
