"""The list of jobs. The less important columns are left out as it gets narrow; texts get the room that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from saetui.display.figures import ABSENT, count, duration, number, percent, short_count
from saetui.display.text import fit, one_line
from saetui.jobs.job import Job, Status
from saetui.tui.job_order import Order, Sorting
from saetui.tui.theme import style_of
from saetui.tui.widgets.job_heading import progress_bar
from saetui.tui.widgets.line_canvas import Piece, filled, line
from saetui.tui.widgets.line_list import ItemList


@dataclass(frozen=True)
class Column:
    """A column of figures or of words.

    Attributes:
        width: in cells; the most that it takes, where it `shrinks`.
        importance: the higher, the longer it stays as the list gets narrow.
        shrinks: it is as wide as the longest text of the listed jobs.
        order: what orders the list by this column.
    """

    title: str
    width: int
    importance: int
    text: Callable[[Job], str]
    right: bool = True
    shrinks: bool = False
    order: Order | None = None


@dataclass(frozen=True)
class Layout:
    """What stands in a row.

    Attributes:
        name: the cells of the name.
        columns: the other columns, with the cells of each.
    """

    name: int
    columns: tuple[tuple[Column, int], ...]


def _metric(name: str) -> Callable[[Job], str]:
    return lambda job: number(job.mean_metric(name))


COLUMNS: tuple[Column, ...] = (
    Column("state", 10, 50, lambda job: job.activity, False, order=Order.STATE),
    Column("architecture", 12, 40, lambda job: job.architecture, False, True, Order.ARCHITECTURE),
    Column("model", 24, 25, lambda job: job.model, False, True, Order.MODEL),
    Column("sites", 24, 20, lambda job: _sites(job), False, True, Order.SITES),
    Column("step", 13, 28, lambda job: f"{count(job.step)}/{short_count(job.num_steps)}", order=Order.STEP),
    Column("loss", 7, 90, _metric("loss"), order=Order.LOSS),
    Column("L0", 6, 80, lambda job: _short(job.mean_metric("l0")), order=Order.L0),
    Column("FVU", 7, 100, _metric("fvu"), order=Order.FVU),
    Column("held FVU, L0", 13, 60, lambda job: _held_out(job), order=Order.HELD_FVU),
    Column("dead", 6, 70, lambda job: percent(job.mean_metric("dead_fraction"), 1), order=Order.DEAD),
    Column("tok/s", 6, 55, lambda job: short_count(job.tokens_per_second), order=Order.SPEED),
    Column("ETA", 6, 75, lambda job: duration(None if job.status.ended else job.eta_seconds), order=Order.ETA),
    Column("elapsed", 7, 30, lambda job: duration(job.elapsed_seconds()), order=Order.ELAPSED),
)

_MARKS = {False: ("▲", "▼"), True: ("^", "v")}
"""Beside the title of the column that orders the list, in ASCII or not: the smallest first, the largest first."""
_BAR = 10
_PERCENT = 5
_NAME_LEAST, _NAME_MOST = 16, 48
_NAME_BEFORE = 45
"""The importance of a whole name: columns that matter less wait until it has its room."""
_GAP = 2
_EDGE = 1
"""Cells between the percentages and the edge."""


class JobList(ItemList[Job]):
    """Jobs with their state and newest figures."""

    def __init__(self) -> None:
        super().__init__(id="jobs")
        self._marked: frozenset[str] = frozenset()
        self.sorting = Sorting()
        self.ascii = False
        self._nothing = ""
        self._places: Mapping[str, int] = {}
        self._longest: Mapping[str, int] = longest_texts(())
        self._layout = layout(0, self._longest)

    def show(
        self, jobs: Sequence[Job], marked: frozenset[str], sorting: Sorting, nothing: str, places: Mapping[str, int]
    ) -> None:
        """Show these jobs.

        Args:
            jobs: in order.
            marked: the ids of the marked ones.
            sorting: what they are ordered by.
            nothing: the text for a list without jobs.
            places: of the queued ones in the queue, by id.
        """
        self._marked, self.sorting, self._nothing, self._places = marked, sorting, nothing, places
        self._longest = longest_texts(jobs)
        self.set_items(jobs)

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        self._layout = layout(width, self._longest, self.sorting.order)
        return super().draw(width, height)

    def heading(self, width: int) -> Sequence[Strip]:
        style = self.colour("muted")
        shown = self._layout
        position = f"{self.cursor + 1}/{len(self.items)}" if len(self.items) > self.content_size.height - 1 else ""
        order = self.sorting.order
        mark = _MARKS[self.ascii][self.sorting.descending]
        title = f"name {mark}" if order is Order.NAME else "name"
        in_a_column = {Order.NAME, Order.PROGRESS, *(column.order for column, _ in shown.columns)}
        if order not in in_a_column and self.sorting != Sorting():
            title += f", {order.value} {mark}"
        pieces: list[Piece] = [(fit(f"  {title}  {position}", shown.name + 3), style), ("  ", style)]
        for column, cells in shown.columns:
            text = column.title + (f" {mark}" if column.order is order else "")
            pieces.append((fit(text, cells, right=column.right) + " " * _GAP, style))
        title = f"progress {mark}" if order is Order.PROGRESS else "progress"
        pieces.append((fit(title, _BAR + _PERCENT), style))
        return [line(*pieces)]

    def row(self, index: int, width: int, selected: bool) -> Strip:
        job = self.items[index]
        on = ("cursor" if self.has_focus else "panel") if selected else ""
        style = style_of(job)
        state = self.colour(style.variable, on=on)
        text = self.colour("foreground", on=on)
        muted = self.colour("muted", on=on)
        strong = self.colour("strong", bold=selected, on=on)
        shown = self._layout
        mark = "▌" if selected and self.has_focus else " "
        pieces: list[Piece] = [
            (mark, self.colour("primary", on=on)),
            (style.glyph, state),
            ("◆" if job.id in self._marked else " ", self.colour("warning", bold=True, on=on)),
            (fit(one_line(job.name), shown.name) + " " * _GAP, strong),
        ]
        for column, cells in shown.columns:
            value = fit(one_line(self._text(column, job)), cells, right=column.right)
            plain = muted if value.strip() == ABSENT or not column.right else text
            pieces.append((value + " " * _GAP, state if column.title == "state" else plain))
        pieces += self._progress(job, state, muted, text)
        return filled(line(*pieces), width, self.colour("foreground", on=on))

    def _text(self, column: Column, job: Job) -> str:
        if column.title == "state" and job.state == "queued" and job.id in self._places:
            return f"queued {self._places[job.id]}"
        return column.text(job)

    def _progress(self, job: Job, state: Style, muted: Style, text: Style) -> list[Piece]:
        if job.status is Status.QUEUED:
            return [(fit("", _BAR + _PERCENT), muted)]
        faint = Style(color=self.colour("faint").color, bgcolor=muted.bgcolor)
        return [*progress_bar(job.progress, _BAR, state, faint), (percent(job.progress).rjust(_PERCENT), text)]

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        return [Strip([]), line((f"  {self._nothing}", self.colour("muted")))]


def longest_texts(jobs: Iterable[Job]) -> dict[str, int]:
    """The cells of the longest name, and of the longest text of each column that shrinks, by title."""
    texts: dict[str, set[str]] = {"name": set(), **{column.title: set() for column in COLUMNS if column.shrinks}}
    for job in jobs:
        texts["name"].add(job.name)
        for column in COLUMNS:
            if column.shrinks:
                texts[column.title].add(column.text(job))
    return {title: max((cell_len(one_line(text)) for text in found), default=0) for title, found in texts.items()}


def layout(width: int, longest: Mapping[str, int], order: Order = Order.STATE) -> Layout:
    """What fits into so many cells.

    Args:
        longest: as `longest_texts` returns it.
        order: what the list is ordered by; its column stays longest, unless it is the state.
    """
    room = width - 3 - _NAME_LEAST - _GAP - _BAR - _PERCENT - _EDGE
    wanted = max(0, min(_NAME_MOST, longest["name"]) - _NAME_LEAST)
    name = _NAME_LEAST
    kept: dict[Column, int] = {}
    wanted_order = None if order is Order.STATE else order  # the state has its glyph before the name
    for column in sorted(COLUMNS, key=lambda column: (column.order is not wanted_order, -column.importance)):
        ordered = column.order is not None and column.order is wanted_order
        if column.importance < _NAME_BEFORE and not ordered and name == _NAME_LEAST:
            name += min(wanted, max(0, room))
            room -= name - _NAME_LEAST
        cells = min(column.width, max(len(column.title), longest[column.title])) if column.shrinks else column.width
        if ordered:
            cells = max(cells, len(column.title) + 2)
        if cells + _GAP <= room:
            kept[column] = cells
            room -= cells + _GAP
    return Layout(name, tuple((column, kept[column]) for column in COLUMNS if column in kept))


def _sites(job: Job) -> str:
    count = len(job.layers) * len(job.hook_points)
    return job.sites[0] if count == 1 else f"{count} sites"


def _held_out(job: Job) -> str:
    """FVU and L0 of the newest evaluation on held-out text: one means little without the other."""
    fvu, l0 = job.mean_metric("eval_fvu"), job.mean_metric("eval_l0")
    return ABSENT if fvu is None else f"{number(fvu)} {_short(l0).rjust(6)}"


def _short(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1f}" if value < 1000 else short_count(value)
