"""`saetui metrics`: a job's history for people, programs and spreadsheets."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from saetui.cli.history import History, Row, StoredHistory, thin
from saetui.cli.output import Column, job_argument, json_option, note, print_json_rows, print_table, right
from saetui.client.blocking import ask
from saetui.display.figures import number, short_count
from saetui.protocol.messages import GetJob
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import EVALUATION_PREFIX

_SHOWN_POINTS = 20
_SHOWN_COLUMNS = {
    "loss": "LOSS",
    "l0": "L0",
    "fvu": "FVU",
    "dead": "DEAD",
    EVALUATION_PREFIX + "fvu": "EVAL FVU",
    EVALUATION_PREFIX + "l0": "EVAL L0",
    "tokens_per_second": "TOK/S",
}


@click.command()
@job_argument
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV; figures that do not exist are empty.")
@click.option("--max-points", type=click.IntRange(min=1), metavar="N",
              help="Print at most N rows for each site; extremes and the last stay.")  # fmt: skip
@json_option
def metrics(job: str, as_csv: bool, max_points: int | None, as_json: bool) -> None:
    """Print a job's history as a table, JSON or CSV.

    There is one row for each step and site. Columns that begin with eval_ were measured on held-out text. The table shows
    the main columns of a few rows; JSON and CSV have all of them unless --max-points is given.
    """
    if as_csv and as_json:
        raise click.UsageError("Choose --csv or --json.")
    found = ask(GetJob(job)).job
    stored = StoredHistory(RunDirectory(Path(found.directory)), found.sites)
    thinned = None if max_points is None and (as_csv or as_json) else thin(stored.whole(), max_points or _SHOWN_POINTS)
    rows = stored.rows() if thinned is None else iter(thinned.rows)
    if as_json:
        print_json_rows({"step": row.step, "site": row.site, **row.values} for row in rows)
    elif as_csv:
        _print_csv(stored.columns, rows)
    elif thinned is not None and thinned.rows:
        _print_table(thinned)
    else:
        note("No metrics so far.")


def _print_csv(columns: Sequence[str], rows: Iterable[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("step", "site", *columns))
    for row in rows:
        writer.writerow((row.step, row.site, *(_csv_cell(row.values.get(column)) for column in columns)))


def _csv_cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(value)


def _print_table(history: History) -> None:
    shown = [column for column in _SHOWN_COLUMNS if column in history.columns]
    columns = [*right("STEP"), Column("SITE", gives_way=True), *right(*(_SHOWN_COLUMNS[column] for column in shown))]
    rows = [(str(row.step), row.site, *(_cell(column, row.values) for column in shown)) for row in history.rows]
    print_table(columns, rows)


def _cell(column: str, values: Mapping[str, float]) -> str:
    show = short_count if column == "tokens_per_second" else number
    return show(values.get(column))
