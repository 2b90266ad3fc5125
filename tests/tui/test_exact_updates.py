"""Exact updates: fewer bytes, the same screen."""

from __future__ import annotations

import re

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate
from textual.strip import Strip

from saetui.tui.exact_updates import ExactUpdate
from saetui.tui.widgets.line_canvas import changed_spans

WIDTH = 40
SGR = re.compile(r"\x1b\[([0-9;]*)([mH])")


class Terminal:
    """As much of a terminal as these updates need: letters with their look at a place."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], tuple[str, str]] = {}

    def feed(self, data: str) -> None:
        x = y = 0
        attributes, foreground, background = "", "39", "49"
        for index, part in enumerate(SGR.split(data)):
            if index % 3 == 0:
                for letter in part:
                    if letter == "\n":
                        y, x = y + 1, 0
                        continue
                    self.cells[x, y] = (letter, f"{attributes}/{foreground}/{background}")
                    x += 1
            elif index % 3 == 1:
                numbers = part
            elif part == "H":
                y, x = (int(number) - 1 for number in numbers.split(";"))
            else:
                codes = (numbers or "0").split(";")
                while codes:
                    code = codes.pop(0)
                    if code in ("38", "48"):
                        value = f"{code};{';'.join(codes[:4])}"
                        del codes[:4]
                        foreground, background = (value, background) if code == "38" else (foreground, value)
                    elif code == "0":
                        attributes, foreground, background = "", "39", "49"
                    elif code == "39":
                        foreground = "39"
                    elif code == "49":
                        background = "49"
                    else:
                        attributes += code


def strip(*pieces: tuple[str, str]) -> Strip:
    return Strip([Segment(text, Style.parse(style)) for text, style in pieces])


def console() -> Console:
    return Console(color_system="truecolor", force_terminal=True, width=WIDTH)


LINES = [
    strip(
        ("name      ", "#ffffff on #0f1720"), ("0.123  ", "bold #34d399 on #0f1720"), ("x" * 23, "#777777 on #0f1720")
    ),
    strip(("y" * 40, "#ffffff on #102030")),
]


def updates(spans: list[tuple[int, int, int]]) -> tuple[str, str]:
    chops: list[dict[int, Strip | None]] = [{0: line} for line in LINES]
    arguments = (chops, spans, [[WIDTH], [WIDTH]])
    return ChopsUpdate(*arguments).render_segments(console()), ExactUpdate(*arguments).render_segments(console())


def test_the_terminal_shows_the_same_within_the_changed_spans() -> None:
    spans = [(0, 10, 16), (0, 30, 35), (1, 3, 4)]
    plain, exact = updates(spans)
    first, second = Terminal(), Terminal()
    first.feed(plain)
    second.feed(exact)
    for y, start, end in spans:
        for x in range(start, end):
            assert second.cells[x, y] == first.cells[x, y]


def test_cells_outside_the_changed_spans_are_not_sent() -> None:
    terminal = Terminal()
    terminal.feed(updates([(0, 10, 16), (1, 3, 4)])[1])
    assert set(terminal.cells) == {(x, 0) for x in range(10, 16)} | {(3, 1)}


def test_it_sends_much_less() -> None:
    plain, exact = updates([(0, 30, 35), (1, 38, 40)])
    assert len(exact) * 2 < len(plain)


def test_colours_do_not_leak_into_what_comes_next() -> None:
    assert updates([(0, 10, 16)])[1].endswith("\x1b[0m")


def test_equal_lines_have_no_changed_span() -> None:
    assert changed_spans(LINES[0], strip(*((text, str(style)) for text, style, _ in LINES[0]))) == []


def test_near_changes_are_one_span_and_far_ones_two() -> None:
    before = strip(("a" * 40, ""))
    assert changed_spans(before, strip(("a" * 5 + "b" + "a" * 3 + "b" + "a" * 30, ""))) == [(5, 10)]
    assert changed_spans(before, strip(("b" + "a" * 38 + "b", ""))) == [(0, 1), (39, 40)]


def test_a_span_cuts_no_wide_letter() -> None:
    assert changed_spans(strip(("ab名cd", "")), strip(("abxycd", ""))) == [(2, 4)]
    assert changed_spans(strip(("名前", "")), strip(("名x ", ""))) == [(2, 4)]
