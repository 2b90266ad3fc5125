"""Templates by the command line: saved, used, changed, carried to another home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saetui.home import Home
from tests.cli.conftest import Saetui, Trained, run_saetui, small_spec


def names(saetui: Saetui) -> list[str]:
    return [found["name"] for found in saetui("templates", "list", "--json").document if not found["builtin"]]


@pytest.fixture
def saved(saetui: Saetui, tmp_path: Path) -> str:
    """A template of one's own, called `mine`."""
    file = small_spec(tmp_path, name=None, hyperparameters={"num_steps": 1_000_000})
    outcome = saetui("templates", "save", "mine", "--file", file, "--description", "A small one.", "--json")
    assert outcome.code == 0, outcome.err
    return str(outcome.document["id"])


def test_the_built_in_ones_are_listed(shared: Saetui) -> None:
    listed = shared("templates", "list").out
    assert "Smoke test" in listed
    assert "bundled:tiny" in listed
    assert all(found["builtin"] for found in shared("templates", "list", "--json").document)


def test_a_search_keeps_those_in_which_every_word_occurs(shared: Saetui) -> None:
    found = shared("templates", "list", "--search", "gemma jetson", "--json").document
    assert [template["name"] for template in found] == ["Gemma 2 2B on a Jetson"]


def test_a_template_from_a_file_is_shown_with_its_spec(saetui: Saetui, saved: str) -> None:
    shown = saetui("templates", "show", "mine", "--json").document
    assert shown["id"] == saved
    assert shown["description"] == "A small one."
    assert shown["spec"]["hyperparameters"]["k"] == 8
    out = saetui("templates", "show", saved[:5]).out
    assert "A small one." in out
    assert '"k": 8' in out


def test_a_template_from_a_job_leaves_the_jobs_name_behind(trained: Trained) -> None:
    outcome = trained.saetui("templates", "save", "--job", "small", "--json")
    assert outcome.code == 0
    template = outcome.document
    assert template["name"] == "topk_2x_30steps"
    assert "name" not in template["spec"]
    assert template["spec"]["layers"] == [1, 2]
    trained.saetui("templates", "delete", template["id"], "--yes")


def test_a_taken_name_gets_a_number(saetui: Saetui, saved: str, tmp_path: Path) -> None:
    again = saetui("templates", "save", "mine", "--file", tmp_path / "spec.json", "--json").document
    assert again["name"] == "mine_2"


def test_a_bad_spec_is_not_saved(saetui: Saetui, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text('{"hyperparameters": {"k": 0}, "modle": "x"}')
    outcome = saetui("templates", "save", "bad", "--file", file)
    assert outcome.code == 2
    assert any("k: 0 is below" in line for line in outcome.error_lines)
    assert any("modle" in line for line in outcome.error_lines)
    assert names(saetui) == []


def test_applying_prints_the_spec_or_makes_a_job_and_counts_the_use(saetui: Saetui, saved: str, home: Home) -> None:
    spec = saetui("templates", "apply", "mine", "--print", "-o", "k=4").document
    assert spec["hyperparameters"]["k"] == 4
    assert saetui("jobs", "--json").document == []

    job = saetui("templates", "apply", "mine", "-o", "k=4", "--json").document
    assert json.loads((home.runs / job["id"] / "spec.json").read_text())["hyperparameters"]["k"] == 4
    assert saetui("train", "--template", "mine", "--json").code == 0
    used = saetui("templates", "show", "mine", "--json").document
    assert used["use_count"] == 2
    assert used["last_used_at"] is not None


def test_duplicate_rename_favorite_and_delete(saetui: Saetui, saved: str) -> None:
    copy = saetui("templates", "duplicate", "mine", "--json").document
    assert copy["id"] != saved
    assert saetui("templates", "rename", copy["id"], "other", "--json").document["name"] == "other"
    assert saetui("templates", "favorite", "other", "--json").document["favorite"] is True
    assert names(saetui)[0] == "other"
    assert saetui("templates", "favorite", "other", "--off", "--json").document["favorite"] is False

    assert saetui("templates", "delete", "other").code == 2
    assert set(names(saetui)) == {"mine", "other"}
    assert saetui("templates", "delete", "other", "--yes").code == 0
    assert names(saetui) == ["mine"]


def test_what_was_deleted_comes_back_as_it_was(saetui: Saetui, saved: str) -> None:
    before = saetui("templates", "show", "mine", "--json").document
    saetui("templates", "duplicate", "mine")
    assert saetui("templates", "delete", "mine", "mine_2", "--yes").code == 0
    deleted = saetui("templates", "list", "--deleted", "--json").document
    assert [template["name"] for template in deleted] == ["mine_2", "mine"]
    assert saetui("templates", "restore", "mine").out == "Restored mine.\n"
    assert saetui("templates", "show", "mine", "--json").document == before
    assert [found["name"] for found in saetui("templates", "list", "--deleted", "--json").document] == ["mine_2"]
    outcome = saetui("templates", "restore", "mine")
    assert outcome.code == 1
    assert outcome.error_lines == ["error: No deleted template is called mine. See `saetui templates list --deleted`."]


def test_a_name_that_was_taken_meanwhile_gets_a_number(saetui: Saetui, saved: str, tmp_path: Path) -> None:
    saetui("templates", "duplicate", "mine")
    saetui("templates", "delete", "mine", "--yes")
    saetui("templates", "rename", "mine_2", "mine")
    assert saetui("templates", "restore", saved, "--json").document[0]["name"] == "mine_2"


def test_a_built_in_template_cannot_be_changed(shared: Saetui) -> None:
    for command in (["rename", "Demo", "Mine"], ["delete", "Demo", "--yes"]):
        outcome = shared("templates", *command, "--json")
        assert outcome.code == 1
        assert "Demo" in outcome.error_lines[0]


def test_a_template_that_is_not_there_is_named(shared: Saetui) -> None:
    outcome = shared("train", "--template", "nothing", "--json")
    assert outcome.code == 1
    assert outcome.document["error"]["kind"] == "not_found"
    assert "saetui templates list" in outcome.error_lines[0]


def test_templates_are_carried_from_one_home_to_another(
    saetui: Saetui, saved: str, shared: Saetui, tmp_path: Path
) -> None:
    file = tmp_path / "templates.json"
    assert saetui("templates", "export", "--output", file).code == 0
    assert saetui("templates", "export", "--output", file).code == 1
    assert saetui("templates", "export").out == file.read_text()

    # As an editor on Windows saves it again.
    file.write_text(file.read_text(), encoding="utf-8-sig")
    outcome = shared("templates", "import", file, "--json")
    assert outcome.code == 0
    (came,) = outcome.document["imported"]
    assert came["name"] == "mine"
    assert came["spec"] == saetui("templates", "show", "mine", "--json").document["spec"]
    assert shared("templates", "delete", came["id"], "--yes").code == 0


def test_bad_entries_are_refused_with_reasons_while_good_ones_come_in(saetui: Saetui, tmp_path: Path) -> None:
    file = tmp_path / "templates.json"
    entries = [
        {"name": "good", "spec": {"architecture": "topk"}},
        {"name": "worse", "spec": {"hyperparameters": {"k": 0}}},
        {"name": "\x1b[2Jevil", "spec": {}},
    ]
    file.write_text(json.dumps({"format": "saetui-templates", "version": 1, "templates": entries}))
    outcome = saetui("templates", "import", file)
    assert outcome.code == 1
    assert "Imported good" in outcome.out
    assert len(outcome.error_lines) == 2
    assert "worse (entry 2): k: 0 is below" in outcome.error_lines[0]
    assert "\x1b" not in outcome.err
    assert names(saetui) == ["good"]


def test_a_template_without_model_says_what_is_missing_when_it_is_used(saetui: Saetui, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text('{"architecture": "topk"}')
    assert saetui("templates", "save", "half", "--file", file).code == 0
    outcome = run_saetui("train", "--template", "half")
    assert outcome.code == 2
    assert [line.split(":")[1].strip() for line in outcome.error_lines] == ["model", "dataset"]


def test_the_spec_of_a_template_is_changed_value_by_value_or_whole(saetui: Saetui, saved: str, tmp_path: Path) -> None:
    edited = saetui("templates", "edit", "mine", "-o", "k=5", "-o", "layers=0-2:2", "--json").document
    assert edited["id"] == saved
    assert edited["spec"]["hyperparameters"]["k"] == 5
    assert edited["spec"]["layers"] == [0, 2]
    whole = tmp_path / "other.json"
    whole.write_text('{"architecture": "standard"}')
    assert saetui("templates", "edit", "mine", "--file", whole).code == 0
    assert saetui("templates", "show", "mine", "--json").document["spec"] == {"architecture": "standard"}
    refused = saetui("templates", "edit", "mine", "-o", "k=5")
    assert refused.code == 2 and "not used by standard" in refused.err
    assert saetui("templates", "edit", "mine").code == 2
    assert saetui("templates", "edit", "demo", "-o", "k=5").code == 1
