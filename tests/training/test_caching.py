"""Trainings that keep their activations, and trainings that find them kept, are the same trainings."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import pytest

from saetui.activations import ActivationExtractor, HookPoint, Site, open_model, prepare_tokens
from saetui.activations.rows import ModelRows
from saetui.catalog.cache_limit import write_limit
from saetui.catalog.caches import list_caches
from saetui.catalog.offsets import measured_offsets
from saetui.home import Home
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.layout import RunDirectory
from saetui.spec.validation import complete_spec
from saetui.training.stream import open_rows
from tests.conditions import eventually

from .runs import make_run, small_spec, start_trainer, train, write_text


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, object]:
    """A spec of more than two passes over its text, for two sites."""
    text = write_text(tmp_path / "text.txt", files=1)
    return small_spec(text, layers=[0, 1], hyperparameters={"num_steps": 60, "checkpoint_interval": 10})


def result(run: RunDirectory) -> str:
    digest = hashlib.sha256()
    for path in sorted(run.path.glob("sae/*/sae_weights.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_recorded_cached_and_killed_runs_give_the_bytes_of_a_plain_one(
    home: Home, tmp_path: Path, spec: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = make_run(home, "recording", spec)
    write_limit(home.cache, 10**9)
    trainer = start_trainer(home, recording)
    eventually(lambda: len(list_checkpoints(recording.checkpoints)) > 0)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    assert start_trainer(home, recording).wait() == 0, recording.log.read_text()
    kept = [entry for entry in list_caches(home.cache) if entry.kind == "activations"]
    assert [entry.complete for entry in kept] == [True, True]
    # What `saetui estimate` forecasts dead latents from, without the model.
    sites = ["layer_0.resid_post", "layer_1.resid_post"]
    gamma = measured_offsets(home.cache, "bundled:tiny", None, sites)
    assert set(gamma) == set(sites) and all(0.05 < value < 20 for value in gamma.values())

    cached = train(home, "cached", spec)
    used = [entry.used_at for entry in list_caches(home.cache) if entry.kind == "activations"]
    assert min(used) >= max(entry.used_at for entry in kept)

    other = Home(tmp_path / "other")
    monkeypatch.setenv("SAETUI_HOME", str(other.root))
    plain = train(other, "plain", spec)
    assert not [entry for entry in list_caches(other.cache) if entry.kind == "activations"]
    assert result(recording) == result(cached) == result(plain)


def test_what_does_not_fit_into_the_limit_is_not_kept_and_that_is_told(tmp_path: Path, spec: dict[str, object]) -> None:
    write_limit(tmp_path, 10**5)
    parsed = complete_spec(spec).spec
    model = open_model("bundled:tiny", device="cpu", last_layer=0)
    dataset = prepare_tokens(parsed.dataset.source, model.tokenizer, context_length=64, cache_directory=tmp_path)
    told: list[str] = []
    extractor = ActivationExtractor(model, [Site(0, HookPoint.RESID_POST)])
    assert isinstance(open_rows(extractor, dataset, parsed, tmp_path, told.append), ModelRows)
    assert "more than the cache's limit of 97.7 KiB" in told[0]
