"""Listing, showing, stopping and deleting jobs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from saetui.display.figures import number
from saetui.home import Home
from tests.cli.conftest import SITES, Saetui, Trained, small_spec
from tests.conditions import eventually

DOCUMENT_FIELDS = {
    "id", "name", "status", "step", "num_steps", "progress", "architecture", "model", "layers", "hook_points",
    "tokens_per_second", "eta_seconds", "metrics", "directory", "error", "created_at", "started_at", "ended_at",
    "wish", "released", "queue_rank", "after", "degraded", "phase", "resumes",
}  # fmt: skip


def long_job(saetui: Saetui, directory: Path, name: str) -> str:
    outcome = saetui("train", small_spec(directory, name=name, hyperparameters={"num_steps": 1_000_000}), "--json")
    assert outcome.code == 0, outcome.err
    return str(outcome.document["id"])


def test_an_empty_list_says_how_to_begin(shared: Saetui) -> None:
    assert shared("jobs", "--json").document == []
    assert "saetui demo" in shared("jobs").err


def test_the_list_has_a_line_for_each_job_and_no_colour_in_a_pipe(trained: Trained) -> None:
    outcome = trained.saetui("jobs")
    titles, line = outcome.out.splitlines()
    assert re.split(" {2,}", titles) == [
        "ID", "STATUS", "NAME", "ARCH", "DONE", "L0", "FVU", "HELD-OUT FVU", "HELD-OUT L0", "WHEN",
    ]  # fmt: skip
    figures = [trained.job["metrics"][site] for site in SITES]
    for metric in ("eval_fvu", "eval_l0"):
        assert number(sum(found[metric] for found in figures) / len(figures)) in line
    assert "✓ completed" in line
    assert "100%" in line
    assert "ago" in line or "just now" in line
    assert "\x1b" not in outcome.out


def test_the_documents_have_the_fields_that_programs_rely_on(trained: Trained) -> None:
    (job,) = trained.saetui("jobs", "--json").document
    assert job.keys() == DOCUMENT_FIELDS
    assert job == trained.job


@pytest.mark.parametrize("key", ["id", "prefix", "name"])
def test_a_job_is_found_by_id_prefix_and_name(trained: Trained, key: str) -> None:
    keys = {"id": trained.job["id"], "prefix": trained.job["id"][:4], "name": "small"}
    shown = trained.saetui("show", keys[key], "--json").document
    assert shown["id"] == trained.job["id"]


def test_show_adds_what_the_directory_knows(trained: Trained) -> None:
    shown = trained.saetui("show", "small", "--json").document
    assert shown.keys() == DOCUMENT_FIELDS | {
        "spec", "evaluation", "checkpoints", "results", "events", "traceback",
    }  # fmt: skip
    assert shown["spec"]["hyperparameters"]["k"] == 8
    assert shown["spec"]["hyperparameters"]["learning_rate"] > 0
    assert shown["checkpoints"][-1]["step"] == 30
    assert all(Path(checkpoint["directory"]).is_dir() for checkpoint in shown["checkpoints"])
    assert set(shown["results"]) == set(SITES)
    assert shown["evaluation"][SITES[0]]["step"] == 30
    assert shown["traceback"] is None


def test_show_reads_well(trained: Trained) -> None:
    out = trained.saetui("show", "small").out
    for part in ("✓ completed", "30 of 30 (100%)", *SITES, "learning_rate", "checkpoints", "step 30", "results"):
        assert part in out
    titles, line = [row for row in out.splitlines() if row.startswith(("SITE", SITES[0] + " "))][:2]
    cells = dict(zip(re.split(" {2,}", titles), re.split(" {2,}", line), strict=True))
    held_out = trained.saetui("show", "small", "--json").document["evaluation"][SITES[0]]
    assert (cells["HELD-OUT FVU"], cells["HELD-OUT L0"]) == (number(held_out["fvu"]), number(held_out["l0"]))


def test_a_failed_job_shows_why_with_its_traceback(saetui: Saetui, home: Home, tmp_path: Path) -> None:
    text = tmp_path / "bad.jsonl"
    text.write_text('{"text": "word word word word"}\n' * 3)
    file = small_spec(tmp_path, dataset={"source": str(text), "context_length": 32, "text_field": "body"})
    outcome = saetui("train", file, "--wait", "--json")
    assert outcome.code == 1
    job = outcome.document
    assert job["status"] == "failed"
    assert job["error"]["message"]
    assert job["error"]["message"] in outcome.err
    shown = saetui("show", job["id"])
    assert shown.code == 0
    assert job["error"]["message"] in shown.out
    assert saetui("export", job["id"], tmp_path / "out").code == 1
    assert not (tmp_path / "out").exists()


def test_jobs_are_stopped_and_then_deleted_with_their_directories(saetui: Saetui, home: Home, tmp_path: Path) -> None:
    first, second = long_job(saetui, tmp_path, "first"), long_job(saetui, tmp_path, "second")
    eventually(lambda: saetui("jobs", "--status", "running", "--json").document, seconds=60)

    refused = saetui("delete", first, "--yes", "--json")
    assert refused.code == 1
    assert "first" in refused.error_lines[0]
    assert refused.document["error"]["kind"] == "conflict"

    stopped = saetui("stop", "--all", "--json")
    assert {job["id"] for job in stopped.document} == {first, second}
    eventually(lambda: len(saetui("jobs", "--status", "stopped", "--json").document) == 2, seconds=60)
    assert saetui("stop", "--all").code == 0

    assert [job["id"] for job in saetui("delete", "first", "--yes", "--json").document] == [first]
    assert [entry.name for entry in home.runs.iterdir()] == [second]
    assert [job["id"] for job in saetui("delete", "--status", "stopped", "--yes", "--json").document] == [second]
    assert saetui("jobs", "--json").document == []
    assert list(home.runs.iterdir()) == []


def test_deleting_asks_and_nobody_there_means_no(trained: Trained) -> None:
    outcome = trained.saetui("delete", "small", typed="y\n")
    assert outcome.code == 2
    assert "--yes" in outcome.error_lines[0]
    assert trained.directory.is_dir()


def test_stop_of_a_job_that_has_ended_is_refused(trained: Trained) -> None:
    outcome = trained.saetui("stop", "small")
    assert outcome.code == 1
    assert "small" in outcome.error_lines[0]
