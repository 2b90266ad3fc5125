"""The estimate of a training in full: each part of the memory, what is free, and the time."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from saetui.display.figures import duration, percent, size
from saetui.spec.estimates import Estimate
from saetui.tui.screens.dialog import ReportDialog


class EstimateScreen(ReportDialog):
    """The parts of an estimate, the largest first. `y` copies them."""

    DEFAULT_CSS = "EstimateScreen .dialog-body { margin-top: 1; }"

    def __init__(self, estimate: Estimate) -> None:
        super().__init__("Memory and time")
        self._text = "\n".join(estimate_lines(estimate))

    def compose_body(self) -> ComposeResult:
        yield Static(Text(self._text))

    def on_mount(self) -> None:
        self.read_body()

    def text_to_copy(self) -> str:
        return self._text


def estimate_lines(estimate: Estimate) -> list[str]:
    """An estimate as lines of text: names, sizes, shares of the whole."""
    parts = sorted(estimate.parts.items(), key=lambda part: -part[1])
    rows = [(name.replace("_", " "), amount) for name, amount in parts] + [("together", estimate.total_bytes)]
    room = max(len(name) for name, _ in rows)
    lines = [
        f"{name:<{room}}  {size(amount):>9}  {percent(amount / max(1, estimate.total_bytes), 1):>6}"
        for name, amount in rows
    ]
    if estimate.available_bytes is not None:
        verdict = "it fits" if estimate.fits else "it does not fit"
        lines.append(f"{'free now':<{room}}  {size(estimate.available_bytes):>9}  {verdict}")
    known = estimate.seconds is not None
    lines += [
        "",
        f"time: about {duration(estimate.seconds)}"
        if known
        else "time: not known. Measure this machine once: saetui bench",
    ]
    return lines + ([estimate.suggestion] if estimate.suggestion else [])
