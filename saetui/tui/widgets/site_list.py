"""The newest figures of each site of a job."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.figures import number, percent
from saetui.display.text import fit
from saetui.jobs.job import Job
from saetui.tui.history import History
from saetui.tui.widgets.line_canvas import Piece, filled, line
from saetui.tui.widgets.line_list import LineList

_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("loss", "loss", 9),
    ("fvu", "FVU", 9),
    ("l0", "L0", 8),
    ("eval_fvu", "held FVU", 10),
    ("eval_l0", "held L0", 9),
    ("dead_fraction", "dead", 7),
    ("eval_ce_recovered", "CE kept", 8),
    ("recon_loss", "recon.", 9),
    ("sparsity_loss", "sparsity", 9),
    ("grad_norm", "grad.", 9),
    ("eval_fvu_all", "w. sinks", 9),
    ("sink_fraction", "sinks", 7),
)
"""Metric, title, width; from the left, as many as there is room for. `held`: on held-out text, all of the same evaluation."""

_SHARES = {"dead_fraction", "eval_ce_recovered", "sink_fraction"}
_NAME_WIDTH = 24


class SiteList(LineList):
    """One line for each site."""

    def __init__(self) -> None:
        super().__init__(id="sites")
        self._figures: dict[str, dict[str, float]] = {}

    def show(self, job: Job, history: History | None) -> None:
        self._figures = {site: dict(job.metrics.get(site, {})) for site in job.sites}
        if history is not None:
            for site, figures in self._figures.items():
                figures.update(history.latest(site))
        self.repaint()

    def row_count(self) -> int:
        return len(self._figures)

    def heading(self, width: int) -> Sequence[Strip]:
        muted = self.colour("muted")
        pieces: list[Piece] = [(fit("  site", _NAME_WIDTH), muted)]
        pieces += [(fit(title, columns, right=True), muted) for _, title, columns in _fitting(width)]
        return [line(*pieces)]

    def row(self, index: int, width: int, selected: bool) -> Strip:
        site, figures = list(self._figures.items())[index]
        on = "cursor" if selected and self.has_focus else ""
        pieces: list[Piece] = [(fit(f"  {site}", _NAME_WIDTH), self.colour("strong", on=on))]
        for name, _, columns in _fitting(width):
            value = figures.get(name)
            text = percent(value, 1) if name in _SHARES else number(value)
            style = self.colour("muted" if value is None else "foreground", on=on)
            pieces.append((fit(text, columns, right=True), style))
        return filled(line(*pieces), width, self.colour("foreground", on=on))


def _fitting(width: int) -> list[tuple[str, str, int]]:
    kept: list[tuple[str, str, int]] = []
    for column in _COLUMNS:
        if _NAME_WIDTH + sum(size for _, _, size in kept) + column[2] > width:
            break
        kept.append(column)
    return kept
