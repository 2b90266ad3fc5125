"""The whole of a model that was opened up to a layer, loaded for its predictions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from saetui.activations import whole_model
from saetui.activations.models import LanguageModel, open_model
from saetui.activations.sites import HookPoint, Site
from saetui.activations.splice import Splice, cross_entropy
from saetui.activations.whole_model import NoWholeModel, WholeModel

from .families import MAKERS, VOCABULARY

TOKENS = torch.randint(1, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(0))
SPLICE = Splice(Site(1, HookPoint.RESID_POST), lambda rows: rows * 0.5)


def part_of(model: LanguageModel) -> LanguageModel:
    return open_model(str(model.directory), device="cpu", last_layer=1)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "bert"])
def test_it_predicts_as_the_model_opened_whole_does(name: str, family: Callable[[str], LanguageModel]) -> None:
    with WholeModel(part_of(family(name))).opened() as opened:
        assert isinstance(opened, LanguageModel)
        for splices in ([], [SPLICE]):
            assert cross_entropy(opened, TOKENS, splices) == cross_entropy(family(name), TOKENS, splices)


def test_what_is_loaded_already_is_shared(family: Callable[[str], LanguageModel]) -> None:
    part = part_of(family("llama"))
    with WholeModel(part).opened() as opened:
        assert isinstance(opened, LanguageModel)
        assert [layer is own for layer, own in zip(opened.layers, part.layers)] == [True, True]
        assert opened.network.get_input_embeddings() is part.network.get_input_embeddings()
    assert len(part.layers) == 2


def test_a_small_rest_is_kept_and_a_large_one_given_back(family: Callable[[str], LanguageModel]) -> None:
    part = part_of(family("llama"))
    for keep_bytes, kept in ((2**20, True), (0, False)):
        whole = WholeModel(part, keep_bytes)
        with whole.opened() as first:
            pass
        with whole.opened() as second:
            assert (first is second) == kept


def test_where_the_rest_does_not_fit_the_numbers_are_told(
    family: Callable[[str], LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_model, "_available", lambda device: 0)
    with WholeModel(part_of(family("llama"))).opened() as opened:
        assert isinstance(opened, NoWholeModel)
        assert "and 0 B are free on cpu" in opened.reason


def test_an_encoder_lends_nothing(family: Callable[[str], LanguageModel]) -> None:
    whole = WholeModel(part_of(family("bert")))
    assert not whole.can_predict
    with whole.opened() as opened:
        assert isinstance(opened, NoWholeModel)


def test_a_whole_model_is_opened_as_it_is(gpt2: LanguageModel) -> None:
    with WholeModel(gpt2).opened() as opened:
        assert opened is gpt2
