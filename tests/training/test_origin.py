"""A run that is resumed goes on with the text, the model and the settings that it began with, or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from safetensors.torch import load_file, save_file

from saetui.bundled import TINY
from saetui.catalog.cache_limit import write_limit
from saetui.catalog.caches import list_caches
from saetui.home import Home
from saetui.rundir.checkpoints import list_checkpoints, new_checkpoint
from saetui.rundir.events import read_events
from saetui.rundir.layout import RunDirectory
from tests.training.runs import make_run, start_trainer
from tests.training.tiny import history, results, tiny_spec, tiny_text, undisturbed

KILLED_AT = "step.accumulate=kill@24"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a run that was killed after its checkpoint of step 10, and the run's text and model, to be copied."""
    place = tmp_path_factory.mktemp("pristine")
    shutil.copytree(TINY, place / "model")
    home = Home(place / "home")
    run = make_run(home, "killed", {**tiny_spec(tiny_text(place)), "model": str(place / "model")})
    assert start_trainer(home, run, SAETUI_FAILPOINTS=KILLED_AT).wait(60) == -9, run.log.read_text()
    assert [info.step for info in list_checkpoints(run.checkpoints)] == [5, 10]
    shutil.copytree(place, f"{place}.kept")
    return place


@pytest.fixture
def place(pristine: Path) -> Path:
    """The same, as if nothing had been done to it; a spec names its text and model by where they are."""
    shutil.rmtree(pristine)
    return Path(shutil.copytree(f"{pristine}.kept", pristine))


@pytest.fixture
def home(place: Path) -> Home:
    return Home(place / "home")


@pytest.fixture
def text(place: Path) -> Path:
    return place / "text.txt"


@pytest.fixture
def model(place: Path) -> Path:
    return place / "model"


@pytest.fixture
def killed(home: Home) -> RunDirectory:
    return RunDirectory(home.runs / "killed")


def reorder(text: Path) -> None:
    text.write_text("\n".join(reversed(text.read_text().split("\n"))))


def forget_tokens(home: Home) -> None:
    shutil.rmtree(home.cache / "tokens")


def resume(home: Home, run: RunDirectory) -> None:
    """Go on to the end, which must be that of a run that nothing happened to."""
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())
    assert history(run) == history(undisturbed())


def refusal(home: Home, run: RunDirectory) -> dict[str, Any]:
    """The error of a resume that must not take a step, nor touch what is there."""
    before = [info.path.name for info in list_checkpoints(run.checkpoints)]
    assert start_trainer(home, run).wait(60) == 1, run.log.read_text()
    assert [info.path.name for info in list_checkpoints(run.checkpoints)] == before
    assert run.results() == []
    error: dict[str, Any] = read_events(run.events)[-1].data["error"]
    return error


def warnings(run: RunDirectory) -> list[str]:
    """All but advice on the figures."""
    return [event.message for event in read_events(run.events) if event.kind == "warning" and not event.data]


def test_a_run_whose_text_changed_goes_on_with_the_tokens_that_are_kept_and_says_so(
    home: Home, killed: RunDirectory, text: Path
) -> None:
    reorder(text)
    resume(home, killed)
    assert warnings(killed) == [
        f"The text of {text} is not the one that the run began with. "
        "The run goes on with the tokens that it began with, which are kept."
    ]
    assert [entry.kind for entry in list_caches(home.cache)] == ["tokens"], "the other text is not even tokenised"


def test_without_kept_tokens_it_is_refused_with_the_texts_name_and_goes_on_once_the_text_is_back(
    home: Home, killed: RunDirectory, text: Path
) -> None:
    content = text.read_bytes()
    reorder(text)
    forget_tokens(home)
    error = refusal(home, killed)
    assert error["kind"] == "dataset"
    assert error["message"] == (
        f"The text of {text} is not the one that the run began with. The tokens that it began with are no longer kept."
    )
    assert error["suggestion"] == "Put that one back, or retry the job to start again with what is there now."
    text.write_bytes(content)
    resume(home, killed)


def test_a_run_whose_text_is_gone_goes_on_with_the_tokens_that_are_kept(
    home: Home, killed: RunDirectory, text: Path
) -> None:
    text.unlink()
    resume(home, killed)
    assert str(text) in warnings(killed)[0]


def test_a_text_that_is_gone_with_its_tokens_is_said_to_be_gone(home: Home, killed: RunDirectory, text: Path) -> None:
    text.unlink()
    forget_tokens(home)
    error = refusal(home, killed)
    assert str(text) in error["message"]
    assert "began with" not in error["message"]


def test_a_run_from_cached_activations_goes_on_from_them_when_its_text_changed(home: Home, text: Path) -> None:
    write_limit(home.cache, 10**9)
    run = make_run(home, "recording", tiny_spec(text))
    assert start_trainer(home, run, SAETUI_FAILPOINTS=KILLED_AT).wait(60) == -9, run.log.read_text()
    reorder(text)
    resume(home, run)
    kept = [entry for entry in list_caches(home.cache) if entry.kind == "activations"]
    tokens = [entry.key for entry in list_caches(home.cache) if entry.kind == "tokens"]
    assert [entry.dataset_key for entry in kept] == tokens * 2


def change_weights(model: Path) -> None:
    file = model / "model.safetensors"
    tensors = load_file(file)
    name = next(key for key in tensors if key.endswith("h.1.mlp.c_proj.weight"))
    tensors[name] = tensors[name].clone()
    tensors[name][0, 0] += 1e-3
    save_file(tensors, file, metadata={"format": "pt"})


def change_configuration(model: Path) -> None:
    file = model / "config.json"
    config = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(config | {"layer_norm_epsilon": 1e-3}))


@pytest.mark.parametrize("change", [change_weights, change_configuration])
def test_a_run_whose_model_changed_is_refused_with_the_models_place_and_goes_on_once_it_is_back(
    home: Home, killed: RunDirectory, model: Path, change: Callable[[Path], None]
) -> None:
    change(model)
    error = refusal(home, killed)
    assert error["kind"] == "model"
    assert error["message"] == f"The model in {model} is not the one that the run began with."
    assert error["suggestion"] == "Put that one back, or retry the job to start again with what is there now."
    shutil.rmtree(model)
    shutil.copytree(TINY, model)
    resume(home, killed)


def test_a_run_may_go_on_with_its_model_and_text_in_other_files(
    home: Home, killed: RunDirectory, text: Path, model: Path
) -> None:
    shutil.copytree(model, f"{model}.copy")
    shutil.rmtree(model)
    Path(f"{model}.copy").rename(model)
    content = text.read_bytes()
    text.unlink()
    text.write_bytes(content)
    resume(home, killed)
    assert warnings(killed) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_tokenizer_that_changed_is_told_from_a_text_that_did(
    home: Home, killed: RunDirectory, model: Path, kept: bool
) -> None:
    file = model / "tokenizer.json"
    tokenizer = msgspec.json.decode(file.read_bytes())
    tokenizer["model"]["merges"].pop()
    file.write_bytes(msgspec.json.encode(tokenizer))
    said = f"The tokenizer in {model} is not the one that the run began with."
    if kept:
        resume(home, killed)
        assert warnings(killed)[0].startswith(said)
    else:
        forget_tokens(home)
        error = refusal(home, killed)
        assert (error["kind"], error["message"].startswith(said)) == ("model", True)


def test_a_spec_that_was_edited_with_its_checksum_is_refused(home: Home, killed: RunDirectory) -> None:
    content = killed.spec.read_bytes().replace(b'"learning_rate": 0.001', b'"learning_rate": 0.002')
    assert content != killed.spec.read_bytes()
    killed.spec.write_bytes(content)
    killed.spec_checksum.write_text(f"{hashlib.sha256(content).hexdigest()}  spec.json\n")
    error = refusal(home, killed)
    assert error["message"] == f"{killed.spec} is not the spec that the run began with."


def rewrite(run: RunDirectory, change: Callable[[dict[str, Any]], None]) -> None:
    """The newest checkpoint with another trainer.json."""
    newest = list_checkpoints(run.checkpoints)[-1]
    content = msgspec.json.decode((newest.path / "trainer.json").read_bytes())
    change(content)
    with new_checkpoint(run.checkpoints, newest.step) as path:
        shutil.copytree(newest.path, path, dirs_exist_ok=True)
        (path / "manifest.json").unlink()
        (path / "trainer.json").write_bytes(msgspec.json.encode(content))


def test_a_run_that_began_by_other_rules_is_refused_before_anything_is_loaded(home: Home, killed: RunDirectory) -> None:
    def older(content: dict[str, Any]) -> None:
        content["origin"]["rules"]["sinks"] = "no rule"

    rewrite(killed, older)
    before = len(read_events(killed.events))
    error = refusal(home, killed)
    assert "sinks ('no rule' then, " in error["message"]
    assert "Resume it with the saetui that began it, or retry" in error["suggestion"]
    assert [event.kind for event in read_events(killed.events)[before:]] == ["ended"]


def test_a_run_goes_on_by_the_numbers_that_were_worked_out_when_it_began(home: Home, killed: RunDirectory) -> None:
    def other_default(content: dict[str, Any]) -> None:
        content["origin"]["settings"]["num_steps"] = 15

    rewrite(killed, other_default)
    assert start_trainer(home, killed).wait(60) == 0, killed.log.read_text()
    assert read_events(killed.events)[-1].data["step"] == 15


def test_a_site_that_is_another_tensor_now_is_refused(home: Home, killed: RunDirectory) -> None:
    def moved(content: dict[str, Any]) -> None:
        content["origin"]["places"]["layer_1.resid_post"] = "input of mlp"

    rewrite(killed, moved)
    error = refusal(home, killed)
    assert "layer_1.resid_post" in error["message"]
    assert "was the input of mlp when the run began, and is the output of the layer now" in error["message"]


def test_where_the_library_changed_too_the_model_need_not_have(home: Home, killed: RunDirectory) -> None:
    def elsewhere(content: dict[str, Any]) -> None:
        content["origin"] |= {"model": "0" * 32, "transformers": "4.0.0"}

    rewrite(killed, elsewhere)
    assert "reads it otherwise than 4.0.0, with which the run began" in refusal(home, killed)["message"]


def test_what_changes_before_the_first_checkpoint_is_what_the_run_begins_with(
    home: Home, text: Path, model: Path
) -> None:
    run = make_run(home, "early", {**tiny_spec(text), "model": str(model)})
    assert start_trainer(home, run, SAETUI_FAILPOINTS="step.accumulate=kill@3").wait(60) == -9
    assert list_checkpoints(run.checkpoints) == []
    reorder(text)
    change_weights(model)
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert warnings(run) == []
    assert results(run) != results(undisturbed())
