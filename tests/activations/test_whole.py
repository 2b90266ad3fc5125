"""The whole of a model that was opened up to a layer, lent for its predictions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from saetui.activations import whole
from saetui.activations.models import LanguageModel, open_model
from saetui.activations.sites import HookPoint, Site
from saetui.activations.splice import Splice, cross_entropy
from saetui.activations.whole import Predictor, Unavailable

from .families import MAKERS, VOCABULARY

TOKENS = torch.randint(1, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(0))
SPLICE = Splice(Site(1, HookPoint.RESID_POST), lambda rows: rows * 0.5)


def part_of(model: LanguageModel) -> LanguageModel:
    return open_model(str(model.directory), device="cpu", last_layer=1)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "bert"])
def test_it_predicts_as_the_model_opened_whole_does(name: str, family: Callable[[str], LanguageModel]) -> None:
    with Predictor(part_of(family(name))).opened() as lent:
        assert isinstance(lent, LanguageModel)
        for splices in ([], [SPLICE]):
            assert cross_entropy(lent, TOKENS, splices) == cross_entropy(family(name), TOKENS, splices)


def test_what_is_loaded_already_is_shared(family: Callable[[str], LanguageModel]) -> None:
    part = part_of(family("llama"))
    with Predictor(part).opened() as lent:
        assert isinstance(lent, LanguageModel)
        assert [layer is own for layer, own in zip(lent.layers, part.layers)] == [True, True]
        assert lent.network.get_input_embeddings() is part.network.get_input_embeddings()
    assert len(part.layers) == 2


def test_a_small_rest_is_kept_and_a_large_one_given_back(family: Callable[[str], LanguageModel]) -> None:
    part = part_of(family("llama"))
    for keep_bytes, kept in ((2**20, True), (0, False)):
        predictor = Predictor(part, keep_bytes)
        with predictor.opened() as first:
            pass
        with predictor.opened() as second:
            assert (first is second) == kept


def test_where_the_rest_does_not_fit_the_numbers_are_told(
    family: Callable[[str], LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "_available", lambda device: 0)
    with Predictor(part_of(family("llama"))).opened() as lent:
        assert isinstance(lent, Unavailable)
        assert "0 MiB are free on cpu" in lent.reason


def test_an_encoder_lends_nothing(family: Callable[[str], LanguageModel]) -> None:
    predictor = Predictor(part_of(family("bert")))
    assert not predictor.can_predict
    with predictor.opened() as lent:
        assert isinstance(lent, Unavailable)


def test_a_whole_model_is_lent_as_it_is(gpt2: LanguageModel) -> None:
    with Predictor(gpt2).opened() as lent:
        assert lent is gpt2
