from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saetui.spec.problems import SpecError
from saetui.spec.training_spec import spec_json
from saetui.spec.validation import check_everything, complete_spec


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "small"
    directory.mkdir()
    config = {"model_type": "gpt2", "n_layer": 6, "n_embd": 32, "n_positions": 64}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "model.safetensors").write_bytes(b"x" * 100)
    (directory / "tokenizer.json").write_text("{}")
    return directory


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("some words " * 100)
    return path


def spec(model: object, source: object, **changes: Any) -> dict[str, Any]:
    return {"model": str(model), "dataset": {"source": str(source), "context_length": 32}, **changes}


def problems(raw: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem.field, problem.message) for problem in check_everything(raw)]


def test_what_is_left_open_is_filled_in(model: Path, text: Path) -> None:
    ready = complete_spec(spec(model, text, hyperparameters={"num_steps": 1000, "k": 16}))
    assert ready.spec.layers == (3,)
    assert ready.spec.name == "small-l3-topk"
    assert ready.spec.hyperparameters["warmup_steps"] == 10
    assert ready.spec.hyperparameters["batch_size"] == 4096
    assert ready.spec.hyperparameters["aux_k"] == 16
    assert ready.settings is not None


def test_a_complete_spec_can_be_asked_for_again(model: Path, text: Path) -> None:
    first = complete_spec(spec(model, text)).spec
    assert complete_spec(spec_json(first)).spec == first


def test_a_run_said_in_passes_waits_for_the_tokens(model: Path, text: Path) -> None:
    ready = complete_spec(spec(model, text, hyperparameters={"num_epochs": 2}))
    assert ready.settings is None
    assert "num_steps" not in ready.spec.hyperparameters


def test_fields_and_world_are_judged_together(text: Path, tmp_path: Path) -> None:
    raw = spec(tmp_path / "nowhere", tmp_path / "nothing.txt", hyperparameters={"k": 0})
    with pytest.raises(SpecError) as caught:
        complete_spec(raw)
    kinds = {problem.field: problem.kind for problem in caught.value.problems}
    assert kinds == {"hyperparameters.k": "invalid_input", "model": "model", "dataset.source": "dataset"}
    assert all(problem.suggestion for problem in caught.value.problems)


def test_a_layer_that_the_model_has_not_is_refused(model: Path, text: Path) -> None:
    assert problems(spec(model, text, layers=[2, 6, 9])) == [("layers", f"{model} has no layer 6, 9.")]


def test_a_context_that_the_model_cannot_read_is_refused(model: Path, text: Path) -> None:
    raw = spec(model, text)
    raw["dataset"]["context_length"] = 65
    assert ("dataset.context_length", f"65 is more than {model} can read at once.") in problems(raw)


def test_k_above_the_width_is_found_before_the_start(model: Path, text: Path) -> None:
    raw = spec(model, text, hyperparameters={"k": 300})
    assert problems(raw)[-1] == ("hyperparameters.k", "300 is more than the 256 latents of the SAE.")


def _missing(directory: Path) -> Path:
    return directory / "missing"


def _empty(directory: Path) -> Path:
    (directory / "empty").mkdir()
    return directory / "empty"


def _no_model(directory: Path) -> Path:
    path = directory / "photos"
    path.mkdir()
    (path / "a.jpg").write_bytes(b"jpg")
    return path


def _damaged(directory: Path) -> Path:
    path = directory / "damaged"
    path.mkdir()
    (path / "config.json").write_bytes(b'{"n_layer": 3')
    return path


def _no_layers(directory: Path) -> Path:
    path = directory / "vision"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "vit"}')
    (path / "model.safetensors").write_bytes(b"x")
    (path / "tokenizer.json").write_text("{}")
    return path


def _pickled(directory: Path) -> Path:
    path = directory / "pickled"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "gpt2", "n_layer": 3, "n_embd": 8}')
    (path / "pytorch_model.bin").write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, "There is no model directory"),
        (_empty, "is empty"),
        (_no_model, "has no config.json, so it is not a model"),
        (_damaged, "cannot be read"),
        (_no_layers, "has no number of layers or no hidden size"),
        (_pickled, "has no weights in safetensors. It has pytorch_model.bin, which can run code when loaded."),
    ],
)
def test_a_directory_that_is_no_model_is_refused(make: Any, words: str, text: Path, tmp_path: Path) -> None:
    found = [problem for problem in check_everything(spec(make(tmp_path), text)) if problem.field == "model"]
    assert len(found) == 1
    assert words in found[0].message
    assert found[0].suggestion


def test_a_hub_id_that_is_not_here_says_how_to_get_it(
    text: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found = check_everything(spec("openai-community/gpt2", text))
    assert "neither a directory nor in the local Hub cache" in found[0].message
    assert "saetui models --download openai-community/gpt2" in (found[0].suggestion or "")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.txt", None, "There is no dataset"),
        ("empty.txt", b"", "is empty"),
        ("binary.txt", b"\x7fELF\0\0\0" * 100, "is binary, not text"),
        ("short.txt", b"a few words only", "too little for two contexts of 32 tokens"),
        ("image.png", b"png" * 100, "of no kind that saetui reads"),
        ("damaged.txt.gz", b"no gzip at all" * 100, "cannot be read"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_refused(
    name: str, content: bytes | None, words: str, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    found = [problem for problem in check_everything(spec(model, path)) if problem.field == "dataset.source"]
    assert len(found) == 1
    assert words in found[0].message
    assert found[0].suggestion


def test_a_directory_without_text_is_refused(model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "folder"
    empty.mkdir()
    assert "has no text: it is empty" in problems(spec(model, empty))[0][1]
