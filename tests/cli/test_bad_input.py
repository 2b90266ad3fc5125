"""What is asked wrongly gets one clear error with the way out, the right exit status, and leaves nothing half made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from saetui.client.blocking import ask
from saetui.home import Home
from saetui.protocol.messages import GetJobs
from tests.cli.conftest import Outcome, Saetui, needs_trainer

GOOD: dict[str, Any] = {
    "model": "bundled:tiny",
    "dataset": {"source": "bundled:stdlib", "context_length": 64},
    "layers": [1],
    "architecture": "topk",
    "hyperparameters": {"k": 8, "batch_size": 512, "num_steps": 50},
}

NOBODY = 65534

Train = Callable[[object], Outcome]


def submit(saetui: Saetui, directory: Path, changes: object) -> Outcome:
    """Train `GOOD` with changes, or what is no spec at all."""
    file = directory / "spec.json"
    spec = {**GOOD, **changes} if isinstance(changes, dict) else changes
    file.write_text(spec if isinstance(spec, str) else json.dumps(spec))
    return saetui("train", file, "--json")


@pytest.fixture
def train(shared: Saetui, tmp_path: Path) -> Train:
    """Submits to the shared home."""
    return partial(submit, shared, tmp_path)


def assert_nothing_made(home: Home) -> None:
    assert ask(GetJobs(), home).jobs == ()
    assert sorted(home.runs.iterdir()) == []


def hyperparameters(**values: object) -> dict[str, Any]:
    return {"hyperparameters": {"batch_size": 512, "num_steps": 50, **values}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modle": "x"}, ["modle: is not a known field.", "Did you mean model?"]),
        (hyperparameters(kk=3), ["kk: is not a known field."]),
        ({"dataset": {"source": "bundled:stdlib", "context": 3}}, ["dataset.context: is not a known field."]),
        (hyperparameters(k="many"), ['k: "many" must be a whole number.']),
        ({"layers": 2}, ["layers: 2 must be a list of layer numbers.", "[2]"]),
        ({"seed": 1.5}, ["seed: 1.5 must be a whole number."]),
        (hyperparameters(k=0), ["k: 0 is below its limit of 1."]),
        (hyperparameters(learning_rate=-1), ["learning_rate: -1 is below its limit of"]),
        (hyperparameters(l1_alpha=0.01), ["l1_alpha: is not used by topk"]),
        (hyperparameters(k=8, top_k_sparsity=1), ["k and top_k_sparsity say the same thing"]),
        ({"architecture": "vanilla"}, ["architecture:", '"vanilla" must be one of standard, topk']),
        ({"hook_points": ["resid"]}, ["hook_points:", '"resid" must be one of', "Did you mean resid_"]),
        ({"name": "../escape"}, ["name:", "is not a name", "letters, digits"]),
        ({"layers": [99]}, ["layers: bundled:tiny has no layer 99.", "It has layers 0 to"]),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_the_way_out(
    train: Train, shared_home: Home, changes: dict[str, Any], said: list[str]
) -> None:
    outcome = train(changes)
    assert outcome.code == 2
    (line,) = outcome.error_lines
    for part in said:
        assert part in line
    error = outcome.document["error"]
    assert error["kind"] == "invalid_input"
    assert len(error["problems"]) == 1
    assert_nothing_made(shared_home)


def test_several_problems_are_told_at_once_one_line_each(train: Train, shared_home: Home, tmp_path: Path) -> None:
    outcome = train(
        {
            "modle": "x",
            "layers": [99],
            "dataset": {"source": str(tmp_path / "none.txt")},
            **hyperparameters(k=0, aux_k="x"),
        }
    )
    assert outcome.code == 2
    fields = {line.split(":")[1].strip() for line in outcome.error_lines}
    assert fields == {"modle", "layers", "dataset.source", "k", "aux_k"}
    assert {problem["field"] for problem in outcome.document["error"]["problems"]} == {
        "modle",
        "layers",
        "dataset.source",
        "hyperparameters.k",
        "hyperparameters.aux_k",
    }
    assert_nothing_made(shared_home)


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is not JSON"), ("[1]", "does not hold a JSON object"), ("\x00\x01", "is not JSON"), ("", "is not JSON")],
)
def test_a_spec_file_that_is_none_is_named(
    train: Train, shared_home: Home, tmp_path: Path, content: str, said: str
) -> None:
    outcome = train(content)
    assert outcome.code == 2
    (line,) = outcome.error_lines
    assert str(tmp_path / "spec.json") in line
    assert said in line
    assert_nothing_made(shared_home)


def test_a_spec_file_that_is_not_there_is_named(shared: Saetui) -> None:
    outcome = shared("train", "nowhere.json")
    assert outcome.code == 2
    assert outcome.out == ""
    assert "nowhere.json cannot be read: No such file" in outcome.error_lines[0]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("k=x", "k: "),
        ("nonsense=1", "nonsense: is not a field or a hyperparameter."),
        ("k", "k: has no value. Write -o KEY=VALUE"),
        ("layers=1,x", "layers: x must be a whole number."),
    ],
)
def test_an_override_that_is_not_understood_is_named(
    shared: Saetui, shared_home: Home, tmp_path: Path, override: str, said: str
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(GOOD))
    outcome = shared("train", tmp_path / "spec.json", "-o", override)
    assert outcome.code == 2
    assert said in outcome.error_lines[0]
    assert_nothing_made(shared_home)


def not_a_model(directory: Path) -> None:
    directory.mkdir()
    (directory / "config.json").write_text('{"hello": 1}')


def without_weights(directory: Path) -> None:
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "gpt2", "n_layer": 2, "n_embd": 8}')


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda directory: None, "There is no model directory"),
        (lambda directory: directory.mkdir(), "is empty"),
        (lambda directory: directory.write_text("x"), "is a file, not the directory of a model"),
        (not_a_model, "names no model_type, so it is not the configuration of a transformers model"),
        (without_weights, "has no weights (*.safetensors)"),
    ],
)
def test_a_model_that_cannot_be_used_is_named(
    train: Train, shared_home: Home, tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    directory = tmp_path / "model"
    make(directory)
    outcome = train({"model": str(directory)})
    assert outcome.code == 1
    (line,) = outcome.error_lines
    assert said in line
    assert str(directory) in line
    assert outcome.document["error"]["kind"] == "model"
    assert_nothing_made(shared_home)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: None, "There is no dataset"),
        (lambda file: file.write_text(""), "is empty"),
        (lambda file: file.write_bytes(b"ab\0\xff" * 1000), "is binary, not text"),
        (lambda file: file.write_text("short"), "too little for two contexts of 64 tokens"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_named(
    train: Train, shared_home: Home, tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    file = tmp_path / "text.txt"
    make(file)
    outcome = train({"dataset": {"source": str(file), "context_length": 64}})
    assert outcome.code == 1
    (line,) = outcome.error_lines
    assert said in line
    assert str(file) in line
    assert outcome.document["error"]["kind"] == "dataset"
    assert_nothing_made(shared_home)


def test_a_directory_without_text_is_no_dataset(train: Train, shared_home: Home, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    outcome = train({"dataset": {"source": str(tmp_path / "texts")}})
    assert outcome.code == 1
    assert "has no text: it is empty" in outcome.error_lines[0]
    assert_nothing_made(shared_home)


def test_a_name_is_given_once(saetui: Saetui, home: Home, tmp_path: Path) -> None:
    needs_trainer()
    first = submit(saetui, tmp_path, {"name": "twin"})
    assert first.code == 0
    second = submit(saetui, tmp_path, {"name": "twin"})
    assert second.code == 1
    assert "twin" in second.error_lines[0]
    assert second.document["error"]["kind"] == "conflict"
    assert second.document["error"]["suggestion"]
    assert [job["id"] for job in saetui("jobs", "--json").document] == [first.document["id"]]
    assert [entry.name for entry in home.runs.iterdir()] == [first.document["id"]]


@pytest.mark.parametrize(
    "command", [["show", "nobody"], ["stop", "nobody"], ["logs", "nobody"], ["export", "nobody", "out"]]
)
def test_a_job_that_is_not_there_is_named(shared: Saetui, tmp_path: Path, command: list[str]) -> None:
    outcome = shared(*command, "--json", directory=tmp_path)
    assert outcome.code == 1
    assert "nobody" in outcome.error_lines[0]
    assert outcome.document["error"]["kind"] == "not_found"
    assert not (tmp_path / "out").exists()


def test_a_home_below_a_file_is_refused(saetui: Saetui, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "home"
    outcome = saetui("jobs", "--json", environment={"SAETUI_HOME": str(place)})
    assert outcome.code == 1
    (line,) = outcome.error_lines
    assert str(place) in line
    assert "set SAETUI_HOME to another directory" in line
    assert outcome.document["error"]["kind"] == "home"
    assert (tmp_path / "file").read_text() == ""


AS_NOBODY = f"""
import locale, os, sys  # gettext imports locale when it is needed, and nobody may not read this Python
import saetui.cli.jobs, saetui.client.lifecycle
from saetui.cli.main import run
if os.getuid() == 0:
    os.setuid({NOBODY})  # root may write everywhere, whatever the mode says
sys.exit(run(["jobs", "--json"]))
"""


def test_a_home_without_permission_to_write_is_refused(home: Home) -> None:
    for directory in list(home.root.parents)[:3]:
        directory.chmod(0o755)
    home.root.mkdir(mode=0o555)
    finished = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=False)
    assert finished.returncode == 1, finished.stderr
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(home.root) in line
    assert "set SAETUI_HOME to another directory" in line
    assert json.loads(finished.stdout)["error"]["kind"] == "home"
    assert list(home.root.iterdir()) == []


def test_a_second_supervisor_is_refused_and_the_first_serves_on(saetui: Saetui, home: Home) -> None:
    assert saetui("jobs").code == 0
    first = saetui("supervisor", "status", "--json").document
    outcome = saetui("supervisor", "run")
    assert outcome.code == 1
    (line,) = outcome.error_lines
    assert str(first["pid"]) in line or str(home.root) in line
    assert saetui("supervisor", "status", "--json").document["pid"] == first["pid"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nonsense", "is not JSON"),
        ("{}", "is not a template file"),
        ('{"format": "saetui-templates", "version": 99, "templates": []}', "has version 99"),
        ("\udcff\udcfe", "is text in UTF-16"),
        ("caf\udce9", "is not text in UTF-8 (byte 3)"),
    ],
)
def test_a_template_file_that_is_none_brings_nothing_in(
    shared: Saetui, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "templates.json"
    file.write_bytes(content.encode("utf-8", errors="surrogateescape"))
    before = shared("templates", "list", "--json").document
    outcome = shared("templates", "import", file, "--json")
    assert outcome.code in (1, 2)
    (line,) = outcome.error_lines
    assert said in line
    assert "templates export" in line or "Export it again" in line
    assert shared("templates", "list", "--json").document == before


def test_a_warning_is_shown_and_accepted(saetui: Saetui, tmp_path: Path) -> None:
    needs_trainer()
    outcome = submit(saetui, tmp_path, hyperparameters(k=8, learning_rate=0.05))
    assert outcome.code == 0
    assert "warning: learning_rate: 0.05 is outside the recommended range" in outcome.err
    assert outcome.error_lines == []


def test_a_model_with_a_name_that_is_no_path_is_a_wrong_field(train: Train) -> None:
    for name, words in (("x" * 100_000, "at most 4095"), ("~nobody-of-that-name/m", "does not have")):
        outcome = train({"model": name, "dataset": {"source": name}})
        assert outcome.code == 2
        assert outcome.err.count(words) == 2 and "model: " in outcome.err and "dataset.source: " in outcome.err


def test_a_home_that_is_not_in_utf_8_is_refused_before_anything_is_made(saetui: Saetui, tmp_path: Path) -> None:
    root = os.fsencode(tmp_path) + b"/home-\xff"
    outcome = saetui("jobs", environment={"SAETUI_HOME": os.fsdecode(root)})
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1 and "not in UTF-8" in outcome.err and "Set SAETUI_HOME" in outcome.err
    assert not Path(os.fsdecode(root)).exists()


def test_a_spec_is_read_from_standard_input(saetui: Saetui, home: Home) -> None:
    outcome = saetui("estimate", "-", "--json", typed=json.dumps(GOOD))
    assert outcome.code == 0 and outcome.document["total_bytes"] > 0
    for typed, said in (
        ("[1]", "does not hold a JSON object"),
        ("{", "is not JSON"),
        (" " * (2**20 + 1), "more than 1.0 MiB"),
    ):
        outcome = saetui("estimate", "-", typed=typed)
        assert outcome.code == 2
        assert outcome.error_lines[0].startswith("error: Standard input") and said in outcome.error_lines[0]
