from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from saetui.activations.extraction import ActivationExtractor, extract_rows
from saetui.activations.models import LanguageModel
from saetui.activations.sites import HookPoint, Site
from saetui.activations.token_dataset import TokenDataset
from saetui.errors import ModelError

from .families import VOCABULARY, WIDTH

TOKENS = torch.randint(1, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(0))
POST = [Site(layer, HookPoint.RESID_POST) for layer in range(3)]


def count_hooks(model: LanguageModel) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.network.modules())


def test_all_sites_come_from_one_forward_pass(gpt2: LanguageModel) -> None:
    passes: list[int] = []
    # The first site that is looked up in a model takes a small pass that proves what its layers add.
    extractor = ActivationExtractor(gpt2, POST)
    handle = gpt2.layers[0].register_forward_hook(lambda *_: passes.append(1))
    activations = extractor(TOKENS)
    handle.remove()
    assert len(passes) == 1
    assert list(activations.values) == [site.name for site in POST]
    assert {value.shape for value in activations.values.values()} == {(3, 12, WIDTH)}


def test_sites_read_together_equal_sites_read_alone(gpt2: LanguageModel) -> None:
    together = ActivationExtractor(gpt2, POST)(TOKENS).values
    for site in POST:
        assert torch.equal(ActivationExtractor(gpt2, [site])(TOKENS).values[site.name], together[site.name])


def test_nothing_behind_the_last_site_is_run(gpt2: LanguageModel) -> None:
    ran: list[str] = []
    watched = {"layer 1": gpt2.layers[1], "layer 2": gpt2.layers[2], "head": gpt2.network.get_submodule("lm_head")}
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: ran.append(name)) for name, module in watched.items()
    ]
    ActivationExtractor(gpt2, [POST[1], Site(0, HookPoint.MLP_OUT)])(TOKENS)
    for handle in handles:
        handle.remove()
    assert ran == ["layer 1"]


def test_what_was_read_can_be_trained_on(gpt2: LanguageModel) -> None:
    value = ActivationExtractor(gpt2, POST)(TOKENS).values[POST[0].name]
    assert not value.requires_grad
    encoder = nn.Linear(WIDTH, 4)
    encoder(value).square().sum().backward()
    assert encoder.weight.grad is not None


def test_no_hook_is_left_behind(gpt2: LanguageModel) -> None:
    before = count_hooks(gpt2)
    ActivationExtractor(gpt2, POST)(TOKENS)
    assert count_hooks(gpt2) == before


def test_no_hook_is_left_behind_when_the_model_fails(gpt2: LanguageModel) -> None:
    before = count_hooks(gpt2)
    with pytest.raises(IndexError):
        ActivationExtractor(gpt2, POST)(torch.full((1, 4), VOCABULARY + 7))
    assert count_hooks(gpt2) == before


def test_no_hook_is_left_behind_when_a_sink_fails(gpt2: LanguageModel) -> None:
    def full(name: str, activation: torch.Tensor) -> None:
        raise MemoryError(name)

    before = count_hooks(gpt2)
    with pytest.raises(MemoryError):
        ActivationExtractor(gpt2, POST).run(TOKENS, full)
    assert count_hooks(gpt2) == before


def test_the_same_tokens_give_the_same_activations(gpt2: LanguageModel) -> None:
    extractor = ActivationExtractor(gpt2, POST)
    first, second = extractor(TOKENS).values, extractor(TOKENS).values
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_special_tokens_padding_and_first_positions_are_not_kept(gpt2: LanguageModel) -> None:
    tokens = torch.tensor([[0, 5, 6, 7], [8, 0, 9, 0], [3, 3, 4, 5]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1]])
    keep = ActivationExtractor(gpt2, POST)(tokens, mask).keep
    assert keep.tolist() == [[False, True, True, False], [False, False, True, False], [False, False, True, True]]


@pytest.mark.parametrize("name", ["gpt2", "llama", "opt", "bert"])
def test_padding_changes_nothing_for_the_tokens_before_it(name: str, family: Callable[[str], LanguageModel]) -> None:
    extractor = ActivationExtractor(family(name), [POST[1]])
    padded = torch.cat([TOKENS[:1, :8], torch.zeros(1, 4, dtype=torch.int64)], 1)
    mask = (torch.arange(12) < 8).long()[None]
    with_padding = extractor(padded, mask).values[POST[1].name][:, :8]
    torch.testing.assert_close(with_padding, extractor(TOKENS[:1, :8]).values[POST[1].name], rtol=1e-4, atol=1e-5)


def test_a_site_asked_for_twice_is_refused(gpt2: LanguageModel) -> None:
    with pytest.raises(ModelError, match="one pass"):
        ActivationExtractor(gpt2, [POST[0], POST[0]])
    with pytest.raises(ModelError, match="one pass"):
        ActivationExtractor(gpt2, [])


def test_rows_of_held_out_contexts_come_in_order_and_without_special_tokens(
    gpt2: LanguageModel, dataset: TokenDataset
) -> None:
    extractor = ActivationExtractor(gpt2, POST[:2])
    rows = list(extract_rows(extractor, dataset, dataset.held_out, micro_batch=4))
    assert sum(len(part[POST[0].name]) for part in rows) == dataset.held_out_tokens
    tokens = dataset.read(dataset.held_out[:4])
    expected = extractor(tokens)
    for site in POST[:2]:
        assert torch.equal(rows[0][site.name], expected.values[site.name][expected.keep])
