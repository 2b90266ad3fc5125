"""The supervisor as the command line shows it, and what can be chosen here."""

from __future__ import annotations

from saetui.home import Home
from tests.cli.conftest import Saetui, Trained
from tests.conditions import lives


def test_status_tells_that_none_runs_and_starts_none(saetui: Saetui, home: Home) -> None:
    outcome = saetui("supervisor", "status", "--json")
    assert outcome.code == 0
    assert outcome.document == {"running": False}
    assert not home.root.exists() or not home.socket.exists()


def test_a_supervisor_starts_by_itself_and_stops_when_asked(saetui: Saetui, home: Home) -> None:
    assert saetui("jobs").code == 0
    status = saetui("supervisor", "status", "--json").document
    assert status["running"] is True
    assert status["home"] == str(home.root)
    assert lives(status["pid"])
    assert f"pid      {status['pid']}" in saetui("supervisor", "status").out

    assert saetui("supervisor", "stop", "--json").document == {"stopped": status["pid"]}
    assert not lives(status["pid"])
    assert saetui("supervisor", "stop", "--json").document == {"stopped": None}
    assert saetui("supervisor", "status", "--json").document == {"running": False}


def test_jobs_are_there_again_after_the_supervisor_was_stopped(trained: Trained) -> None:
    assert trained.saetui("supervisor", "stop").code == 0
    found = {job["id"]: job for job in trained.saetui("jobs", "--json").document}
    assert found[trained.job["id"]] == trained.job


def test_the_bundled_model_and_text_can_be_chosen(shared: Saetui) -> None:
    model = shared("models", "--json").document[0]
    assert model["reference"] == "bundled:tiny"
    assert model["num_layers"] >= 4
    assert "bundled:tiny" in shared("models").out
    dataset = shared("datasets", "--json").document[0]
    assert dataset["source"] == "bundled:stdlib"
    assert dataset["size_bytes"] > 1_000_000
    assert "bundled:stdlib" in shared("datasets").out
