"""Reading what a job wrote: its log and its metrics."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

from saetui.home import Home
from saetui.rundir.layout import RunDirectory
from tests.cli.conftest import SITES, Saetui, Trained, run_saetui, small_spec
from tests.conditions import eventually


def test_metrics_are_a_list_of_rows_for_each_step_and_site(trained: Trained) -> None:
    rows = trained.saetui("metrics", "small", "--json").document
    assert {row["site"] for row in rows} == set(SITES)
    steps = [row["step"] for row in rows if row["site"] == SITES[0]]
    assert steps == sorted(set(steps))
    assert {5, 10, 15, 20, 25, 30} <= set(steps)
    last = rows[-1]
    assert last["step"] == 30
    assert {"loss", "l0", "fvu", "dead_fraction", "tokens_per_second", "eval_fvu", "eval_ce_recovered"} <= last.keys()


def test_metrics_as_csv_say_the_same(trained: Trained) -> None:
    rows = trained.saetui("metrics", "small", "--json").document
    table = list(csv.DictReader(io.StringIO(trained.saetui("metrics", "small", "--csv").out)))
    assert len(table) == len(rows)
    for row, line in zip(rows, table):
        assert int(line["step"]) == row["step"]
        assert line["site"] == row["site"]
        assert float(line["loss"]) == row["loss"]
        assert (line["eval_fvu"] == "") == (row.get("eval_fvu") is None)


def test_max_points_bounds_the_rows_of_each_site(trained: Trained) -> None:
    rows = trained.saetui("metrics", "small", "--json", "--max-points", "3").document
    for site in SITES:
        steps = [row["step"] for row in rows if row["site"] == site]
        assert len(steps) <= 3
        assert steps[-1] == 30


def test_the_table_of_metrics_fits_a_terminal(trained: Trained) -> None:
    lines = trained.saetui("metrics", "small").out.splitlines()
    assert lines[0].split()[:4] == ["STEP", "SITE", "LOSS", "L0"]
    assert max(map(len, lines)) <= 80


def test_a_log_reaches_the_terminal_without_its_escape_sequences(saetui: Saetui, tmp_path: Path) -> None:
    job = saetui("train", small_spec(tmp_path), "--wait", "--json").document
    with open(RunDirectory(Path(job["directory"])).log, "ab") as log:
        log.write(b"\x1b]0;owned\x07 \xff end\nlast line without an end")
    outcome = saetui("logs", "small")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert "\x07" not in outcome.out
    assert outcome.out.splitlines()[-2:] == ["\\x1b]0;owned\\x07 \\xff end", "last line without an end"]
    assert saetui("logs", "small", "--json").document["lines"][-1] == "last line without an end"


def test_of_a_long_log_the_end_is_printed_and_all_of_it_on_request(trained: Trained) -> None:
    log = RunDirectory(Path(trained.saetui("show", "small", "--json").document["directory"])).log
    before = log.read_bytes()
    try:
        with open(log, "ab") as file:
            file.write(b"".join(b"line %07d\n" % number for number in range(400_000)))
        brief = trained.saetui("logs", "small", "-n", "3")
        assert brief.out.splitlines() == ["line 0399997", "line 0399998", "line 0399999"]
        assert "--lines all prints what is kept" in brief.err and str(log) in brief.err
        assert len(trained.saetui("logs", "small").out.splitlines()) == 10_000
        whole = trained.saetui("logs", "small", "-n", "all").out.splitlines()
        assert whole[-400_000:] == [f"line {number:07}" for number in range(400_000)]
        refused = trained.saetui("logs", "small", "-n", "some")
        assert refused.code == 2 and "'some' is not a number of lines" in refused.err
    finally:
        log.write_bytes(before)


def test_a_log_that_is_no_file_is_told_in_one_line(trained: Trained) -> None:
    log = RunDirectory(Path(trained.saetui("show", "small", "--json").document["directory"])).log
    aside = log.rename(log.with_name("aside"))
    os.mkfifo(log)
    try:
        refused = trained.saetui("logs", "small")
        assert refused.code == 1 and "not a plain file" in refused.err
    finally:
        log.unlink()
        aside.rename(log)


def test_a_followed_log_ends_with_the_job(home: Home, tmp_path: Path) -> None:
    assert run_saetui("train", small_spec(tmp_path, hyperparameters={"num_steps": 1_000_000})).code == 0
    eventually(lambda: run_saetui("jobs", "--status", "running", "--json").document, seconds=60)
    with subprocess.Popen(
        [sys.executable, "-m", "saetui", "logs", "small", "-f"], stdout=subprocess.PIPE, text=True
    ) as following:
        log = next(home.runs.iterdir()) / "trainer.log"
        with open(log, "a") as file:
            file.write("a line of its own\n")
        printed = following.stdout
        assert printed is not None
        eventually(lambda: "a line of its own" in printed.readline(), seconds=20)
        assert run_saetui("stop", "small").code == 0
        assert following.wait(timeout=60) == 0
