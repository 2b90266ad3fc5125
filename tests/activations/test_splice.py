from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from saetui.activations.hooks import activation_of
from saetui.activations.models import LanguageModel
from saetui.activations.sites import HookPoint, Site
from saetui.activations.splice import Splice, TokenLoss, cross_entropy
from saetui.errors import ModelError

from .families import VOCABULARY

TOKENS = torch.randint(1, VOCABULARY, (5, 12), generator=torch.Generator().manual_seed(0))
MIDDLE = Site(1, HookPoint.RESID_POST)


def shifted(rows: Tensor) -> Tensor:
    return rows + torch.linspace(-1, 1, rows.shape[1])


@pytest.mark.parametrize("name", ["gpt2", "neox", "llama"])
def test_without_a_splice_it_is_the_models_own_loss_behind_the_first_position(
    name: str, family: Callable[[str], LanguageModel]
) -> None:
    model = family(name)
    labels = TOKENS.clone()
    labels[:, 1] = -100  # What the first position predicts.
    with torch.no_grad():
        own = model.network(TOKENS, labels=labels).loss
    loss = cross_entropy(model, TOKENS)
    assert loss.tokens == 5 * 10
    assert loss.mean == pytest.approx(float(own), rel=1e-5)


def test_the_loss_does_not_depend_on_how_many_contexts_are_run_at_a_time(gpt2: LanguageModel) -> None:
    whole = cross_entropy(gpt2, TOKENS)
    assert cross_entropy(gpt2, TOKENS, micro_batch=2).total == pytest.approx(whole.total, rel=1e-6)
    assert cross_entropy(gpt2, TOKENS[:2]) + cross_entropy(gpt2, TOKENS[2:]) != TokenLoss()


@pytest.mark.parametrize("point", list(HookPoint))
@pytest.mark.parametrize("name", ["gpt2", "neox", "llama", "gemma2", "opt"])
def test_an_activation_replaced_by_itself_changes_nothing(
    name: str, point: HookPoint, family: Callable[[str], LanguageModel]
) -> None:
    model = family(name)
    clean = cross_entropy(model, TOKENS)
    assert cross_entropy(model, TOKENS, [Splice(Site(1, point), lambda rows: rows)]) == clean
    assert cross_entropy(model, TOKENS, [Splice(Site(1, point), None)]) != clean
    assert cross_entropy(model, TOKENS) == clean


def test_the_spliced_model_computes_what_follows_from_the_replacement(gpt2: LanguageModel) -> None:
    loss = cross_entropy(gpt2, TOKENS, [Splice(Site(2, HookPoint.RESID_POST), shifted)])
    with torch.no_grad():
        states: list[Tensor] = []
        handle = gpt2.layers[2].register_forward_hook(lambda _m, _a, output: states.append(activation_of(output, "")))
        gpt2.network(TOKENS)
        handle.remove()
        final = gpt2.network.get_submodule("transformer.ln_f")(shifted(states[0].flatten(0, 1)).view_as(states[0]))
        logits = gpt2.network.get_submodule("lm_head")(final)
    expected = functional.cross_entropy(logits[:, 1:-1].flatten(0, 1), TOKENS[:, 2:].flatten())
    assert loss.mean == pytest.approx(float(expected), rel=1e-5)


def test_special_tokens_and_first_positions_are_left_alone(gpt2: LanguageModel) -> None:
    tokens = TOKENS.clone()
    tokens[0, 0] = tokens[2, 5] = 0
    seen: list[Tensor] = []

    def look(rows: Tensor) -> Tensor:
        seen.append(rows)
        return rows

    loss = cross_entropy(gpt2, tokens, [Splice(MIDDLE, look)])
    assert sum(len(rows) for rows in seen) == 5 * 12 - 6
    assert loss.tokens == 5 * 11 - 6
    special_only = torch.zeros(2, 12, dtype=torch.int64)
    assert cross_entropy(gpt2, special_only, [Splice(MIDDLE, None)]).tokens == 0


def test_a_transcoder_reads_one_site_and_replaces_another(gpt2: LanguageModel) -> None:
    source, target = Site(1, HookPoint.MLP_IN), Site(1, HookPoint.MLP_OUT)
    # A copy: calling the model's own would call the hooks again.
    mlp = deepcopy(gpt2.layers[1].get_submodule("mlp"))
    clean = cross_entropy(gpt2, TOKENS)
    spliced = cross_entropy(gpt2, TOKENS, [Splice(target, lambda rows: mlp(rows), source=source)])
    assert spliced.total == pytest.approx(clean.total, rel=1e-5)
    assert cross_entropy(gpt2, TOKENS, [Splice(target, lambda rows: rows, source=source)]) != clean


def test_a_source_behind_its_target_is_refused(gpt2: LanguageModel) -> None:
    backwards = Splice(Site(1, HookPoint.MLP_IN), lambda rows: rows, source=Site(1, HookPoint.MLP_OUT))
    with pytest.raises(ModelError, match=r"passes layer_1.mlp_in before layer_1.mlp_out"):
        cross_entropy(gpt2, TOKENS, [backwards])


def test_no_hook_is_left_behind_when_a_function_fails(gpt2: LanguageModel) -> None:
    clean = cross_entropy(gpt2, TOKENS)

    def fails(rows: Tensor) -> Tensor:
        raise FloatingPointError("no")

    with pytest.raises(FloatingPointError):
        cross_entropy(gpt2, TOKENS, [Splice(MIDDLE, fails)])
    assert cross_entropy(gpt2, TOKENS) == clean


def test_a_model_that_does_not_predict_has_no_cross_entropy(family: Callable[[str], LanguageModel]) -> None:
    with pytest.raises(ModelError, match="does not predict next tokens"):
        cross_entropy(family("bert"), TOKENS)
