"""Models and datasets of the Hub: its own library against a Hub on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from saetui.bundled import TINY
from saetui.home import Home
from tests.cli.conftest import Saetui, needs_trainer
from tests.cli.hub import GATED, Hub, serving

MODEL, DATASET = "someone/tiny", "someone/stories"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(place))
    return place


@pytest.fixture
def hub(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    model, dataset, pickled = tmp_path / "model", tmp_path / "dataset", tmp_path / "pickled"
    shutil.copytree(TINY, model)
    (model / "onnx").mkdir()
    for name in ("pytorch_model.bin", "consolidated.safetensors", "onnx/config.json"):
        (model / name).write_bytes(b"not for us" * 1000)
    (dataset / "data").mkdir(parents=True)
    (dataset / "data" / "train.jsonl").write_text('{"text": "Once upon a time there was a word. "}\n' * 500)
    (dataset / "picture.png").write_bytes(b"png" * 100)
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"pickle")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (adapter / name).write_text("{}")
    repositories = {
        f"models/{MODEL}": model, f"datasets/{DATASET}": dataset,
        "models/someone/pickled": pickled, "models/someone/adapter": adapter,
    }  # fmt: skip
    with serving(repositories) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.endpoint)
        yield made


def test_a_model_is_fetched_without_what_saetui_does_not_read(home: Home, hub: Hub, saetui: Saetui) -> None:
    outcome = saetui("models", "--download", MODEL, "--json")
    assert outcome.code == 0, outcome.err
    assert MODEL in [model["reference"] for model in outcome.document]
    assert f"Downloading {MODEL}, " in outcome.err
    fetched = {path.rpartition("/")[2] for path in hub.sent}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    assert not fetched & {"pytorch_model.bin", "consolidated.safetensors"}
    assert not any("onnx" in path for path in hub.sent)
    before = len(hub.sent)
    assert saetui("models", "--download", MODEL).code == 0
    assert len(hub.sent) == before  # it is here


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("someone/nothing", "The Hub has no model someone/nothing, or it is private."),
        (GATED, "only to those who agreed to its terms"),
        ("someone/pickled", "has no weights in safetensors on the Hub; nothing was downloaded"),
        ("someone/adapter", "has an adapter (adapter_config.json) on the Hub, which saetui does not apply"),
        ("no name at all", "The Hub has no model no name at all"),
    ],
)
def test_what_cannot_be_had_says_why(home: Home, hub: Hub, saetui: Saetui, reference: str, words: str) -> None:
    outcome = saetui("models", "--download", reference)
    assert outcome.code != 0
    assert len(outcome.error_lines) == 1
    assert words in outcome.error_lines[0]
    assert hub.sent == []


def test_an_unknown_revision_is_named(home: Home, hub: Hub, saetui: Saetui) -> None:
    outcome = saetui("models", "--download", MODEL, "--revision", "v9")
    assert f"The model {MODEL} has no revision v9 on the Hub." in outcome.err


def test_without_a_network_the_way_out_is_a_directory(
    home: Home, cache: Path, saetui: Saetui, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    outcome = saetui("datasets", "--download", DATASET)
    assert outcome.code != 0
    assert f"{DATASET} could not be downloaded from the Hub" in outcome.error_lines[0]
    assert "give a directory of this machine" in outcome.error_lines[0]


def test_where_there_is_no_room_nothing_is_fetched(home: Home, hub: Hub, saetui: Saetui) -> None:
    hub.size = 10**18
    outcome = saetui("datasets", "--download", DATASET)
    assert outcome.code != 0
    assert f"{DATASET} needs 909495 TiB more" in outcome.error_lines[0]
    assert hub.sent == []


def test_a_spec_that_is_refused_lists_everything_and_why_the_hub_did_not_help(
    home: Home, hub: Hub, saetui: Saetui, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"model": "someone/nothing", "architecture": "topp"}))
    outcome = saetui("train", spec)
    assert outcome.code == 2
    assert "warning: The Hub has no model someone/nothing" in outcome.err
    assert "There is no model someone/nothing" in outcome.err
    assert "topp" in outcome.err


def test_train_fetches_the_model_and_the_text_that_are_missing(
    home: Home, hub: Hub, saetui: Saetui, tmp_path: Path
) -> None:
    needs_trainer()
    spec = tmp_path / "spec.json"
    sizes = {"latent_dim": 64, "k": 4, "batch_size": 64, "num_steps": 4}
    spec.write_text(
        json.dumps(
            {
                "model": MODEL,
                "dataset": {"source": DATASET, "context_length": 32},
                "layers": [1],
                "hyperparameters": sizes,
            }
        )
    )
    outcome = saetui("train", spec, "--wait", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["status"] == "completed"
    assert any(path.endswith("train.jsonl") for path in hub.sent)
    assert not any(path.endswith("picture.png") for path in hub.sent)
