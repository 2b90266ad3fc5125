"""The pages of `saetui help` name what exists, and nothing that exists is missing from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import saetui.docs
from saetui.cli.main import COMMANDS
from saetui.docs import read_topic, topics
from saetui.errors import InvalidInput
from saetui.jobs.job import Status
from saetui.jobs.preferences import Preferences
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.hyperparameters import HYPERPARAMETERS
from saetui.spec.training_spec import TrainingSpec

NAMES = [topic.name for topic in topics()]
CODE = re.compile(r"`([^`]+)`")


def test_each_file_is_a_topic_and_none_has_the_name_of_a_command() -> None:
    files = {path.stem for path in Path(saetui.docs.__file__).parent.glob("*.md")}
    assert files == set(NAMES)
    assert not files & COMMANDS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_a_terminal(name: str) -> None:
    lines = read_topic(name).text.splitlines()
    assert lines[0].startswith("# ")
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 200


def test_an_unknown_topic_names_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="architectures"):
        read_topic("architecture")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_architecture_has_its_formulas_and_their_source(architecture: str) -> None:
    section = read_topic("architectures").text.split(f"\n## {architecture}\n", 1)[1].split("\n## ", 1)[0]
    assert "arXiv" in section or re.search(r"et al\. 20\d\d", section) or "of this project" in section
    assert "    " in section, "a formula"


def test_every_hyperparameter_is_on_one_of_the_pages_that_an_unknown_name_leads_to() -> None:
    pages = read_topic("training").text + read_topic("architectures").text
    assert [name for name in HYPERPARAMETERS if f"`{name}" not in pages] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_only_what_exists(name: str) -> None:
    wrong = unknown(read_topic(name).text)
    # The fields on that page are held to what the commands print by tests/cli/test_json_shapes.py.
    assert [code for code in wrong if name != "json" or code.startswith("saetui ")] == []


@pytest.mark.parametrize("wrong", ["`sparsity_warm_steps`", "`saetui telephone`", "`log_intervall`"])
def test_a_name_that_does_not_exist_is_found(wrong: str) -> None:
    assert len(unknown(wrong)) == 1


def unknown(page: str) -> list[str]:
    """Commands and names with an underscore in a page that neither the product nor a file format has."""
    known = KNOWN_NAMES | HYPERPARAMETERS.keys() | {*TrainingSpec.__struct_fields__, *Preferences.__struct_fields__}
    wrong = []
    for code in CODE.findall(page):
        if code.startswith("saetui "):
            wrong += [code] if code.split()[1] not in {*COMMANDS, "TOPIC"} else []
        elif re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", code) and code not in known:
            wrong.append(code)
    return wrong


KNOWN_NAMES = {
    *ARCHITECTURES, *(status.value for status in Status), "constant_norm", "layer_norm", "one_cycle", "mlp_in", "mlp_out",
    "context_length", "text_field", "expected_average_only_in", "auto_resume", "dictionary_learning", "seqpos_slice", "b_dec",
    "batch_size", "eval_fvu",
    # what an export says of itself
    "model_name", "hook_name", "context_size", "prepend_bos",
    # figures: the test below holds their page to the columns that are written
    "recon_loss", "sparsity_loss", "aux_loss", "l0_fraction", "dead_fraction", "sink_fraction", "sparsity_coefficient",
    "grad_norm", "fvu_all", "ce_clean", "ce_sae", "ce_zero", "ce_recovered", "never_fired", "tokens_per_second",
    "memory_bytes",
}  # fmt: skip


def test_every_figure_that_is_recorded_is_explained() -> None:
    pytest.importorskip("torch")
    from saetui.training.recorder import EVALUATION_COLUMNS, JOB_COLUMNS, TRAINING_COLUMNS

    explained = set(CODE.findall(read_topic("figures").text))
    ends = {f"density_{exponent}" for exponent in range(-6, -1)}
    assert {*EVALUATION_COLUMNS, *JOB_COLUMNS, *TRAINING_COLUMNS} - ends <= explained


def test_every_file_of_a_job_is_listed() -> None:
    from saetui.formats import run_files

    names = {
        value for name, value in vars(run_files).items() if name.isupper() and name not in ("SUBMISSION", "LOG_HEADER")
    }
    page = read_topic("files").text
    assert [name for name in names if name not in page] == []


def test_the_notebook_example_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (example,) = re.findall(r"```python\n(.*?)```", read_topic("library").text, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 30
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"STEPS": 60}
    exec(compile(example, "library.md", "exec"), names)
    figures = names["figures"]
    assert isinstance(figures, dict)
    assert 0 < figures["fvu"] < 0.9
    assert figures["l0"] == pytest.approx(32, abs=0.5)
