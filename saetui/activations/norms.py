"""The norms of a model: which one comes before a site, its weight and bias, and whether it subtracts the mean.

The modules are run to find this out: families differ in names, in formulas (Gemma multiplies by 1 + w) and in the norm's
place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from saetui.activations.hooks import activation_of, hook_inputs, hook_outputs
from saetui.activations.models import LanguageModel
from saetui.activations.sites import Site
from saetui.errors import ModelError

_LARGE = 1e4
"""At this size of the input no family's epsilon matters."""
_TOLERANCE = 1e-3


@torch.no_grad()
def norm_before(model: LanguageModel, site: Site) -> tuple[str, nn.Module]:
    """The norm whose output is the input of the module at a site, found by one small forward pass.

    Args:
        model: loaded up to the site at least.
        site: one whose tensor is a module's input: `mlp_in`.

    Returns:
        The norm's path in the whole network, and the norm.

    Raises:
        ModelError: no norm of the layer gives that tensor, as in families with norms after the MLP only.
    """
    layer = model.layers[site.layer]
    location = model.locate(site)
    outer = location.module_name.partition(f"{model.layers_name}.{site.layer}")[0]
    given: dict[str, Tensor] = {}
    entered: list[Tensor] = []

    def keep_input(value: object) -> None:
        entered.append(activation_of(value, site.name).detach().clone())

    with model.lock, ExitStack() as stack:
        for name, module in layer.named_children():
            stack.enter_context(hook_outputs(module, _keep(name, given)))
        stack.enter_context(hook_inputs(model.module_at(location), keep_input))
        model.network.base_model(input_ids=torch.arange(4, device=model.device)[None] % model.vocab_size)
    for name, module in layer.named_children():
        tensor = given.get(name)
        if (
            tensor is not None
            and tensor.shape == entered[0].shape
            and torch.equal(tensor, entered[0])
            and _is_norm(module)
        ):
            return f"{outer}{model.layers_name}.{site.layer}.{name}", module
    raise ModelError(
        f"In {model.reference} no norm of layer {site.layer} gives the input of its MLP.",
        "An SAE that reads a norm's output cannot be evaluated there.",
    )


@torch.no_grad()
def weight_and_bias(norm: nn.Module, d: int) -> tuple[Tensor, Tensor]:
    """A norm's weight and bias: shapes (d,), float32, on the CPU.

    They are found with inputs whose normalised values are known: 0 gives the bias, alternating signs the weight.

    Args:
        norm: a LayerNorm or RMSNorm over the last dimension.
        d: that dimension.

    Raises:
        ModelError: the module is no such norm.
    """
    function = _alone(norm)
    bias = function(torch.zeros(1, d))[0]
    signs = torch.ones(d)
    signs[1::2] = -1.0
    if d % 2:
        signs[-1] = 0.0
    weight = torch.zeros(d)
    for probe in (signs, signs.roll(1)):
        # Mean 0, and mean square 1 after the factor, so that both kinds of norm leave it as it is.
        normalised = probe * (d / float(probe.square().sum())) ** 0.5
        found = function(_LARGE * normalised[None])[0] - bias
        weight = torch.where(probe != 0, found / torch.where(probe != 0, normalised, 1.0), weight)
    generator = torch.Generator().manual_seed(0)
    x = _LARGE * (torch.randn(8, d, generator=generator) + 0.5)
    centred = x - x.mean(-1, keepdim=True) if takes_mean_away(norm, d) else x
    wanted, given = centred / centred.square().mean(-1, keepdim=True).sqrt() * weight + bias, function(x)
    if float((wanted - given).norm()) > _TOLERANCE * float(given.norm()):
        raise ModelError(
            f"{type(norm).__name__} is neither a LayerNorm nor an RMSNorm.", "Its weight and bias are unknown."
        )
    return weight, bias


@torch.no_grad()
def takes_mean_away(norm: nn.Module, d: int) -> bool:
    """Whether a norm gives the same output for x and x + c, as LayerNorm does and RMSNorm does not."""
    x = _LARGE * torch.randn(4, d, generator=torch.Generator().manual_seed(1))
    function = _alone(norm)
    before, after = function(x), function(x + _LARGE)
    return float((after - before).norm()) <= _TOLERANCE * float(before.norm())


def stream_norms(model: LanguageModel, layer: int) -> list[nn.Module]:
    """The norms in the residual stream of a layer, not those inside its attention."""
    return [module for module in model.layers[layer].children() if _is_norm(module)]


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower() and not list(module.children())


def _alone(norm: nn.Module) -> Callable[[Tensor], Tensor]:
    """A copy of the norm in float32 on the CPU, as a function."""
    alone = copy.deepcopy(norm).to("cpu", torch.float32)

    def function(x: Tensor) -> Tensor:
        return activation_of(alone(x), "the norm").float()

    return function


def _keep(name: str, given: dict[str, Tensor]) -> Callable[[object], None]:
    def visit(value: object) -> None:
        found = value[0] if isinstance(value, tuple | list) and value else value
        if isinstance(found, Tensor):
            given[name] = found.detach().clone()

    return visit
