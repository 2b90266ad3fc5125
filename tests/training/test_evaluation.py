"""The held-out evaluation: what is put where in the model."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
import torch

from saetui.activations import TokenDataset, extract_rows, open_model, prepare_tokens
from saetui.activations.models import LanguageModel
from saetui.spec.settings import resolve
from saetui.spec.training_spec import parse_spec
from saetui.training.evaluation import HeldOut
from saetui.training.out_of_memory import AdaptiveExtractor
from saetui.training.pairs import pairs_of, sites_read
from saetui.training.site import SiteTrainer
from tests.training.runs import write_text

TOKENS = 2048


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return open_model("bundled:tiny", device="cpu")


@pytest.fixture(scope="module")
def dataset(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    directory = tmp_path_factory.mktemp("text")
    text = write_text(directory / "text.txt", files=3)
    return prepare_tokens(str(text), model.tokenizer, context_length=64, cache_directory=directory)


def prepare(
    architecture: str, model: LanguageModel, dataset: TokenDataset, **fields: Any
) -> tuple[HeldOut, dict[str, SiteTrainer]]:
    """Untrained SAEs and their evaluation."""
    raw = {
        "model": "bundled:tiny", "dataset": {"source": "text"}, "layers": [1], "architecture": architecture, **fields,
        "hyperparameters": {"latent_dim": 64, "batch_size": 64, "num_steps": 10, "normalize_activations": "none"},
    }  # fmt: skip
    spec, _ = parse_spec(raw)
    settings = resolve(spec, model.d_model)
    assert settings is not None
    pairs = pairs_of(spec)
    extractor = AdaptiveExtractor(model, sites_read(pairs))
    sample = cycle(extract_rows(extractor, dataset, dataset.train))
    trainers = SiteTrainer.fresh(pairs, spec, settings, sample, torch.device("cpu"))
    return HeldOut(model, extractor, dataset, tokens=TOKENS), trainers


@pytest.mark.parametrize(
    ("architecture", "fields", "site"),
    [
        ("standard", {"hook_points": ["mlp_out"]}, "layer_1.mlp_out"),
        ("transcoder", {}, "layer_1.mlp_in"),
        ("skip_transcoder", {}, "layer_1.mlp_in"),
    ],
)
def test_an_sae_that_gives_nothing_is_a_zero_ablation_of_what_it_predicts(
    architecture: str, fields: dict[str, Any], site: str, model: LanguageModel, dataset: TokenDataset
) -> None:
    held_out, trainers = prepare(architecture, model, dataset, **fields)
    with torch.no_grad():
        trainers[site].sae.W_dec.zero_()
        trainers[site].sae.b_dec.zero_()
    figures = held_out.evaluate(trainers)[site]
    assert figures["ce_sae"] == pytest.approx(figures["ce_zero"], abs=1e-6)
    assert figures["ce_recovered"] == pytest.approx(0.0, abs=1e-4)
    assert figures["ce_zero"] > figures["ce_clean"]
    assert held_out.latest == {site: figures}


def test_a_transcoder_and_an_sae_of_the_mlps_output_replace_the_same_thing(
    model: LanguageModel, dataset: TokenDataset
) -> None:
    transcoder = _figures("transcoder", model, dataset)["layer_1.mlp_in"]
    sae = _figures("topk", model, dataset, hook_points=["mlp_out"])["layer_1.mlp_out"]
    assert transcoder["ce_zero"] == sae["ce_zero"]
    assert transcoder["ce_clean"] == sae["ce_clean"]
    assert transcoder["ce_sae"] != sae["ce_sae"]


def test_sites_are_judged_each_for_itself(model: LanguageModel, dataset: TokenDataset) -> None:
    together = _figures("topk", model, dataset, layers=[0, 1])
    assert together["layer_1.resid_post"] == _figures("topk", model, dataset)["layer_1.resid_post"]
    assert together["layer_0.resid_post"]["ce_zero"] != together["layer_1.resid_post"]["ce_zero"]


def _figures(
    architecture: str, model: LanguageModel, dataset: TokenDataset, **fields: Any
) -> dict[str, dict[str, float]]:
    held_out, trainers = prepare(architecture, model, dataset, **fields)
    return held_out.evaluate(trainers)
