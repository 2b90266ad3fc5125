"""The thresholds of batch_topk and matryoshka are those of the weights that are judged and exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from saetui.activations import Site, open_model, prepare_tokens
from saetui.activations.models import LanguageModel
from saetui.home import Home
from saetui.rundir.layout import RunDirectory
from saetui.training.evaluation import CALIBRATION_TOKENS, Calibration, HeldOut
from saetui.training.out_of_memory import AdaptiveExtractor
from saetui.training.tasks.evaluate import judge
from tests.training.runs import train, write_text
from tests.training.tiny import history, results, rows, tiny_spec, tiny_text, undisturbed

SITE = "layer_1.resid_post"
ARCHITECTURES = ("batch_topk", "matryoshka")
K = 4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_run_that_looks_and_saves_more_often_ends_with_the_same_weights(
    home: Home, tmp_path: Path, architecture: str
) -> None:
    spec = tiny_spec(tiny_text(tmp_path), architecture, eval_interval=2, checkpoint_interval=3)
    often = train(home, "often", spec)
    seldom = undisturbed(architecture)
    assert results(often) == results(seldom)
    assert rows(often.training_metrics) == rows(seldom.training_metrics)
    ours, theirs = (load_file(newest(run) / f"{SITE}.safetensors") for run in (often, seldom))
    assert ours.keys() == theirs.keys()
    assert all(tensor.equal(theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_held_out_l0_is_what_was_asked_for_after_a_few_steps(architecture: str) -> None:
    run = undisturbed(architecture)
    held_out = [values["l0"] for _, _, values in rows(run.evaluation_metrics)]
    assert len(held_out) == 2
    assert held_out == pytest.approx([K, K], rel=0.02)
    saved = load_file(newest(run) / f"{SITE}.safetensors")
    exported = load_file(run.result(SITE) / "sae_weights.safetensors")["threshold"]
    assert bool((exported == exported[0]).all())
    assert float(exported[0]) != float(saved["sae.threshold"]), (
        "the running threshold lags behind and stays in the checkpoint"
    )


def test_eval_of_the_export_says_what_the_last_evaluation_said(home: Home) -> None:
    run = undisturbed("batch_topk")
    home.make()
    last = history(run)[-1][2]
    found = judge({"directories": {SITE: str(run.result(SITE))}, "tokens": 32_768, "device": "cpu"})["sites"]
    assert isinstance(found, dict)
    for name in ("l0", "fvu", "ce_sae", "ce_recovered"):
        assert found[SITE][name] == pytest.approx(last[name], rel=1e-3), name
    metadata = json.loads((run.result(SITE) / "cfg.json").read_text())["metadata"]["saetui"]
    assert metadata["held_out"]["l0"] == last["l0"]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return open_model("bundled:tiny", device="cpu", last_layer=1)


@pytest.mark.parametrize(("judged_tokens", "apart"), [(1024, True), (32_768, False)])
def test_it_is_searched_on_held_out_text_that_is_not_judged_where_there_is_enough_of_it(
    model: LanguageModel, tmp_path: Path, judged_tokens: int, apart: bool
) -> None:
    text = write_text(tmp_path / "text.txt", files=60)
    dataset = prepare_tokens(str(text), model.tokenizer, context_length=64, cache_directory=tmp_path)
    extractor = AdaptiveExtractor(model, [Site.parse(SITE)])
    judged = HeldOut(model, extractor, dataset, tokens=judged_tokens).contexts
    searched = Calibration(extractor, dataset, judged).contexts
    assert np.isin(searched, dataset.held_out).all()
    assert not np.isin(searched, dataset.train).any()
    assert (len(np.intersect1d(searched, judged)) == 0) == apart
    assert len(searched) * 64 <= CALIBRATION_TOKENS


def newest(run: RunDirectory) -> Path:
    return max(run.checkpoints.iterdir())
