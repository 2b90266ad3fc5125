"""`saetui import` and `saetui eval`: SAEs of others, and one's own, judged on text of one's choice."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tests.cli.conftest import SITES, Saetui, Trained


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the SAE of layer 2, as SAELens has it."""
    directory = tmp_path_factory.mktemp("exported") / "layer-2"
    assert trained.saetui("export", "small", directory, "--site", SITES[1]).code == 0
    return directory


def test_a_job_s_evaluation_is_that_of_its_training(trained: Trained) -> None:
    outcome = trained.saetui("eval", "small", "--json")
    assert outcome.code == 0, outcome.err
    found = outcome.document
    assert found["model"] == "bundled:tiny" and found["context_length"] == 32
    assert list(found["sites"]) == list(SITES)
    rows = trained.saetui("metrics", "small", "--json").document
    for site, values in found["sites"].items():
        last = [row for row in rows if row["site"] == site and "eval_fvu" in row][-1]
        for figure in ("fvu", "l0", "ce_clean", "ce_sae", "ce_zero", "ce_recovered", "tokens"):
            assert values[figure] == pytest.approx(last[f"eval_{figure}"], rel=1e-4), figure
        assert values["architecture"] == values["trained_as"] == "topk"
    assert "Evaluating on" in outcome.err


@pytest.mark.slow
def test_an_import_is_evaluated_and_trained_further(
    saetui: Saetui, trained: Trained, exported: Path, tmp_path: Path
) -> None:
    imported = saetui("import", exported, "--json")
    assert imported.code == 0, imported.err
    assert imported.document["name"] == "layer-2" and imported.document["architecture"] == "topk"

    (tmp_path / "other.txt").write_text(Path(argparse.__file__).read_text())
    asked = ("--dataset", "other.txt", "--context-length", "16", "--tokens", "256", "--json")
    judged = saetui("eval", "layer-2", *asked, directory=tmp_path)
    assert judged.code == 0, judged.err
    assert judged.document["dataset"] == str(tmp_path / "other.txt")
    assert judged.document["context_length"] == 16 and judged.document["tokens"] <= 256
    (values,) = judged.document["sites"].values()
    assert values["site"] == SITES[1] and values["l0"] == pytest.approx(8)
    assert sum(values[name] for name in values if name.startswith("density_")) + values["never_fired"] == pytest.approx(
        1
    )

    spec = json.loads((trained.directory / "spec.json").read_text())
    hyperparameters = spec["hyperparameters"] | {"num_steps": 5, "learning_rate": 1e-6}
    further = {**spec, "name": "further", "layers": [2], "start_from": "layer-2", "hyperparameters": hyperparameters}
    (tmp_path / "further.json").write_text(json.dumps(further))
    job = saetui("train", tmp_path / "further.json", "--wait", "--json")
    assert job.code == 0, job.err
    before = trained.job["metrics"][SITES[1]]["fvu"]
    # From scratch the FVU of the first five steps is above 0.9.
    assert job.document["metrics"][SITES[1]]["fvu"] == pytest.approx(before, abs=0.03)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("nothing-such", "no directory and no imported SAE nothing-such"),
        ("{exported}", "is one SAE, and the training has 2 sites"),
    ],
)
def test_a_start_that_cannot_be_is_refused_at_once(
    start: str, words: str, trained: Trained, exported: Path, tmp_path: Path
) -> None:
    spec = json.loads((trained.directory / "spec.json").read_text())
    (tmp_path / "spec.json").write_text(
        json.dumps({**spec, "name": "no", "start_from": start.format(exported=exported)})
    )
    outcome = trained.saetui("train", tmp_path / "spec.json", "--json")
    assert outcome.code != 0
    assert any("start_from" in line and words in line for line in outcome.error_lines), outcome.err


def test_a_start_of_another_size_says_which_it_is(trained: Trained, exported: Path, tmp_path: Path) -> None:
    spec = json.loads((trained.directory / "spec.json").read_text())
    changed = {**spec, "name": "no", "layers": [2], "start_from": str(exported)}
    changed["hyperparameters"] = {"k": 8, "latent_dim": 100}
    (tmp_path / "spec.json").write_text(json.dumps(changed))
    outcome = trained.saetui("train", tmp_path / "spec.json")
    assert outcome.code == 2
    assert "Set latent_dim to 256." in outcome.err


def test_what_is_no_sae_is_refused_with_the_reason(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "ae.pt").write_bytes(b"\x80\x04.")
    outcome = trained.saetui("import", tmp_path / "theirs", "--json")
    assert outcome.code == 1
    assert outcome.document["error"]["kind"] == "format"
    assert len(outcome.error_lines) == 1
    assert trained.saetui("import", tmp_path / "theirs", "--name", "../up").code == 2
    assert trained.saetui("eval", "nothing-such").code == 1
    assert "no directory" in trained.saetui("eval", "./nothing-such").err
    assert "is a file" in trained.saetui("eval", tmp_path / "theirs" / "ae.pt").err
    for command in ("eval", "import"):
        assert "hf download" in trained.saetui(command, "google/gemma-scope-2b-pt-res").err
