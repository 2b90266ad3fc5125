"""Tables line up, JSON stays JSON, and errors are one line each."""

from __future__ import annotations

import json
import math

import pytest

from saetui.cli.output import Column, print_facts, print_json, print_table, report_error
from saetui.display.text import cells
from saetui.errors import InvalidInput, ModelError, SaetuiError
from saetui.spec.problems import Problem, SpecError

COLUMNS = (Column("NAME", gives_way=True), Column("STEP", right=True), Column("WHEN"))


class Terminal:
    """Makes standard output look like a terminal of a width."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))


def test_columns_line_up_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("特徴", "5", "now"), ("plain", "12345", "3 min ago"), ("\x1b[2J", "9", "–")])
    titles, *rows = capsys.readouterr().out.splitlines()
    ends = [titles.index("STEP") + len("STEP")]
    ends += [cells(row[: row.index(step) + len(step)]) for row, step in zip(rows, ("5", "12345", "9"))]
    assert ends[1] == ends[2] == ends[0] == ends[3]
    assert "\\x1b[2J" in rows[2]


def test_nothing_is_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("n" * 200, "1", "now")])
    assert "n" * 200 in capsys.readouterr().out


def test_a_table_is_cut_to_the_terminal_where_it_gives_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Terminal(monkeypatch, 40)
    print_table(COLUMNS, [("n" * 200, "1", "3 min ago")])
    _, row = capsys.readouterr().out.splitlines()
    assert len(row) <= 40
    assert row.endswith("3 min ago")


@pytest.mark.parametrize(("width", "shown"), [(40, True), (24, False)])
def test_columns_that_drop_are_left_out_together_before_anything_is_cut(
    width: int, shown: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Terminal(monkeypatch, width)
    columns = (Column("NAME", gives_way=True), Column("FVU", drops=True), Column("L0", drops=True), Column("WHEN"))
    print_table(columns, [("a-job", "0.21", "32.4", "3 min ago")])
    titles, row = capsys.readouterr().out.splitlines()
    assert ("FVU" in titles, "L0" in titles, "32.4" in row) == (shown,) * 3
    assert "a-job" in row
    assert row.endswith("3 min ago")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    Terminal(monkeypatch, 80)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    print_table(COLUMNS, [("a", "1", "now")], ["red"])
    assert ("\x1b[31m" in capsys.readouterr().out) is coloured


def test_json_has_null_for_what_is_not_finite_and_escapes_what_is_not_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.nan, math.inf, 1.5], "b": "\x9b31m…"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"a": [None, None, 1.5], "b": "\x9b31m…"}


def test_a_list_is_one_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"step": 1}, {"step": 2}])
    assert json.loads(capsys.readouterr().out) == [{"step": 1}, {"step": 2}]
    print_json([])
    assert json.loads(capsys.readouterr().out) == []


def test_facts_line_up_and_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("a", "x\x07"), ("long", "y")])
    assert capsys.readouterr().out == "a     x\\x07\nlong  y\n"


def problem(field: str, kind: str) -> Problem:
    return Problem(field=field, message="is wrong.", suggestion="Mend it.", kind=kind)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (InvalidInput("Bad.", "Do better."), 2, "invalid_input"),
        (ModelError("No model.", "Get one."), 1, "model"),
        (SaetuiError("Something."), 1, "error"),
        (SpecError([problem("k", "invalid_input"), problem("model", "model")]), 2, "invalid_input"),
        (SpecError([problem("model", "model"), problem("dataset.source", "dataset")]), 1, "model"),
    ],
)
def test_the_exit_status_tells_wrong_usage_from_failure(
    capsys: pytest.CaptureFixture[str], error: SaetuiError, code: int, kind: str
) -> None:
    assert report_error(error, as_json=True) == code
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["kind"] == kind
    assert all(line.startswith("error: ") for line in printed.err.splitlines())


def test_every_problem_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(SpecError([problem("hyperparameters.k", "invalid_input"), problem("model", "model")]), as_json=False)
    printed = capsys.readouterr()
    assert printed.err == "error: k: is wrong. Mend it.\nerror: model: is wrong. Mend it.\n"
    assert printed.out == ""


def test_an_error_with_line_ends_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(SaetuiError("first\nsecond \x1b[31m"), as_json=False)
    assert capsys.readouterr().err == "error: first\\nsecond \\x1b[31m\n"
