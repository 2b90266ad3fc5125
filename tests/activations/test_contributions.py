"""attn_out and mlp_out are what a layer adds to the residual stream, or are not offered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.hooks import activation_of
from saetui.activations.models import LanguageModel, open_model
from saetui.activations.sites import HookPoint, Site
from saetui.activations.splice import Splice, cross_entropy
from saetui.errors import ModelError

from .conftest import SmallModels
from .families import OLD, VOCABULARY

TOKENS = torch.randint(3, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(0))
PARTS = (HookPoint.ATTN_OUT, HookPoint.MLP_OUT)


def module_name(model: LanguageModel, layer: int, point: HookPoint) -> str:
    return model.locate(Site(layer, point)).module_name


def test_a_factor_of_the_layer_is_part_of_the_contribution(small: SmallModels) -> None:
    model = small("granite")
    for point, name in zip(PARTS, ("self_attn", "mlp")):
        location = model.locate(Site(1, point))
        assert (location.module_name, location.factor) == (f"model.layers.1.{name}", 0.22)
        passed: list[Tensor] = []

        def keep(_module: object, _arguments: object, output: Any, passed: list[Tensor] = passed) -> None:
            passed.append(output[0] if isinstance(output, tuple) else output)

        handle = model.module_at(location).register_forward_hook(keep)
        value = ActivationExtractor(model, [location.site])(TOKENS).values[location.site.name]
        handle.remove()
        assert torch.equal(value, passed[0] * 0.22)


@pytest.mark.parametrize("point", PARTS)
def test_a_splice_replaces_the_contribution_with_its_factor(point: HookPoint, small: SmallModels) -> None:
    """The layer then returns what it got and the replacement, and the other part's own contribution."""
    model = small("granite")
    replacement = torch.linspace(-1, 1, model.d_model)
    streams: list[tuple[Tensor, Tensor]] = []
    handle = model.layers[1].register_forward_hook(
        lambda _module, inputs, output: streams.append((inputs[0], activation_of(output, "")))
    )
    cross_entropy(model, TOKENS, [Splice(Site(1, HookPoint.MLP_OUT), None), Splice(Site(1, HookPoint.ATTN_OUT), None)])
    cross_entropy(
        model,
        TOKENS,
        [
            Splice(Site(1, other), (lambda rows: replacement.expand_as(rows)) if other is point else None)
            for other in PARTS
        ],
    )
    handle.remove()
    (before, without), (_, replaced) = streams
    # All but the first position, which is left as it is.
    assert torch.equal(without[:, 1:], before[:, 1:]) and not torch.equal(without[:, :1], before[:, :1])
    torch.testing.assert_close((replaced - before)[:, 1:], replacement.expand_as(before[:, 1:]))


@pytest.mark.parametrize("name", ["llama", "bloom", "granite"])
def test_the_sums_are_understood_in_half_precision_too(
    name: str, family: Callable[[str], LanguageModel], small: SmallModels
) -> None:
    directory = small(name).directory
    model = open_model(str(directory), device="cpu", dtype="bfloat16", last_layer=1)
    assert [model.locate(Site(1, point)).factor for point in PARTS] == [0.22 if name == "granite" else 1.0] * 2


@pytest.mark.parametrize(
    ("family", "layer", "mixer"),
    [
        ("qwen3_next", 0, "linear_attn"),
        ("qwen3_next", 3, "self_attn"),
        ("lfm2", 0, "conv"),
        pytest.param("jamba", 0, "mamba", marks=pytest.mark.skipif(OLD, reason="jamba needs CUDA in transformers 4")),
    ],
)
def test_each_kind_of_layer_in_a_hybrid_model_has_its_own_mixer(
    family: str, layer: int, mixer: str, small: SmallModels
) -> None:
    assert module_name(small(family), layer, HookPoint.ATTN_OUT) == f"model.layers.{layer}.{mixer}"


def test_a_site_is_looked_for_in_its_own_layer(small: SmallModels) -> None:
    """The last layer of this family alone has a bias that it adds beside its attention."""
    model = small("gpt_neox_japanese")
    assert model.hook_points(0) == list(HookPoint)
    assert model.hook_points(3) == [HookPoint.RESID_PRE, HookPoint.RESID_POST, HookPoint.MLP_IN]


def test_what_is_scaled_otherwise_is_not_offered_and_the_reason_has_a_figure(small: SmallModels) -> None:
    model = small("minimax")
    for point in PARTS:
        with pytest.raises(ModelError, match=r"not what the layer adds .* differs from attn_out \+ mlp_out by \d+%"):
            model.locate(Site(0, point))
    assert HookPoint.MLP_IN in model.hook_points(0)


def test_where_a_layer_adds_a_third_thing_only_what_is_seen_to_be_added_is_offered(small: SmallModels) -> None:
    """Gemma 4 gates an embedding of each layer's own into the stream, and scales the whole."""
    points = small("gemma4_text").hook_points(1)
    assert HookPoint.ATTN_OUT in points
    assert HookPoint.MLP_OUT not in points


def test_a_norm_or_a_convolution_behind_a_part_is_found_whatever_its_name(small: SmallModels) -> None:
    assert module_name(small("hyperclovax"), 0, HookPoint.MLP_OUT) == "model.layers.0.post_norm2"
    assert module_name(small("inkling_text"), 0, HookPoint.ATTN_OUT).endswith("layers.0.attn_sconv")


def test_the_model_is_run_once_for_all_its_sites(small: SmallModels) -> None:
    model = open_model(str(small("granite").directory), device="cpu")
    passes: list[int] = []
    handle = model.layers[0].register_forward_hook(lambda *_: passes.append(1))
    for layer in range(model.num_layers):
        model.hook_points(layer)
    handle.remove()
    assert len(passes) == 1


def test_a_model_that_needs_more_than_tokens_is_refused_with_what_it_lacks(small: SmallModels) -> None:
    with pytest.raises(ModelError, match=r"cannot be run on tokens alone: .*pixel_values"):
        ActivationExtractor(small("blip"), [Site(0, HookPoint.RESID_POST)])
