"""Other tools' names for sites: hooks of TransformerLens and TransformerBridge, and modules in transformers' naming."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from saetui.activations.models import LanguageModel
from saetui.activations.norms import norm_before
from saetui.activations.sites import HookPoint, Site
from saetui.errors import InvalidInput

Side = Literal["input", "output"]


@dataclass(frozen=True)
class NamedSite:
    """The site that a name of another tool means, as far as the name alone shows.

    Attributes:
        name: the name.
        site: the site.
        normalised: whether the name means the norm's output before its weight and bias. The site has the output after them.
        part: the module inside the layer, where the name has one. In some families its tensor is not the one at the site.
        side: whether the name means that module's input or its output.
    """

    name: str
    site: Site
    normalised: bool = False
    part: str | None = None
    side: Side = "output"


_HOOK = re.compile(r"blocks\.(\d{1,4})\.(.+)")
_MODULE = re.compile(r"(?:[\w.]+\.)?(?:layers|layer|h|blocks|block)\.(\d{1,4})(?:\.([A-Za-z_][\w.]*))?")

_HOOKS = {
    "hook_resid_pre": HookPoint.RESID_PRE,
    "hook_in": HookPoint.RESID_PRE,
    "hook_resid_post": HookPoint.RESID_POST,
    "hook_out": HookPoint.RESID_POST,
    "mlp.hook_in": HookPoint.MLP_IN,
    "ln2.hook_normalized": HookPoint.MLP_IN,
    "hook_mlp_out": HookPoint.MLP_OUT,
    "hook_attn_out": HookPoint.ATTN_OUT,
}
_MODULES_OF_HOOKS = {"mlp.hook_out": "mlp", "attn.hook_out": "attn"}
"""TransformerBridge's hooks at a part's own output, before a norm that follows it."""
_BEFORE_ITS_WEIGHT = "ln2.hook_normalized"

_MLPS = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "moe")
_ATTENTIONS = ("self_attn", "attn", "attention", "self_attention")
_NORMS_BEFORE_MLP = (
    "ln_2",
    "ln2",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "final_layer_norm",
    "norm2",
)
_NORMS_AFTER_MLP = ("post_feedforward_layernorm", "post_mlp_layernorm")

_NOT_OFFERED = {
    "hook_resid_mid": "the residual stream between attention and MLP",
    "hook_mlp_in": "the residual stream between attention and MLP in TransformerLens, not the MLP's input",
    "hook_attn_in": "the residual stream before the attention, once for each head",
    "attn.hook_z": "the outputs of the attention's heads before they are added up",
    "self_attn.o_proj": "the outputs of the attention's heads before they are added up",
    "attn.c_proj": "the outputs of the attention's heads before they are added up",
}


def read_site_name(name: str, *, transcodes: bool = False) -> NamedSite | None:
    """The site that a name of another tool means. None where the name is not understood.

    Args:
        name: such as `blocks.2.hook_resid_post`, `blocks.2.mlp.hook_in`, `model.layers.2`, `transformer.h.2.mlp`,
            `model.layers.2.output`. A module alone means its output.
        transcodes: whether the name is of a transcoder's input. sparsify names the MLP that the transcoder replaces.

    Raises:
        InvalidInput: saetui does not read at that place.
    """
    hook = _HOOK.fullmatch(name)
    if hook is not None and (hook[2].startswith("hook_") or ".hook_" in hook[2]):
        return _of_hook(name, int(hook[1]), hook[2])
    plain, side = _side(name)
    module = _MODULE.fullmatch(plain)
    return None if module is None else _of_module(name, int(module[1]), module[2], side, transcodes)


def require_same_tensor(model: LanguageModel, named: NamedSite) -> None:
    """Check that in this model the module of a name has the same tensor as the site.

    Raises:
        InvalidInput: it has another tensor.
        ModelError: the model has no such site.
    """
    location = model.locate(named.site)
    if named.part is None:
        return
    if (
        named.part == "mlp"
        and location.module_name == model.locate(Site(named.site.layer, HookPoint.MLP_IN)).module_name
    ):
        return
    module, side = location.module_name, location.side
    if named.site.hook_point is HookPoint.MLP_IN and named.side == "output":
        module, side = norm_before(model, named.site)[0], "output"
    tail = f".{named.site.layer}.{named.part}"
    alike = named.part in _ATTENTIONS and module.rpartition(".")[2] in _ATTENTIONS
    if side != named.side or not (f".{module}".endswith(tail) or alike):
        raise InvalidInput(
            f"{named.name} is another tensor than {named.site.name} in {model.reference}, which is the {side} of {module}: "
            "there is a norm or a factor between the two.",
            "An SAE of that tensor cannot be evaluated here.",
        )


def _of_hook(name: str, layer: int, hook: str) -> NamedSite | None:
    _require_offered(name, hook)
    part = _MODULES_OF_HOOKS.get(hook)
    if part is not None:
        return _of_module(name, layer, part, "output", False)
    point = _HOOKS.get(hook)
    return None if point is None else NamedSite(name, Site(layer, point), normalised=hook == _BEFORE_ITS_WEIGHT)


def _of_module(name: str, layer: int, part: str | None, side: Side, transcodes: bool) -> NamedSite | None:
    if part is None:
        point = HookPoint.RESID_POST if side == "output" else HookPoint.RESID_PRE
        return NamedSite(name, Site(layer, point))
    _require_offered(name, part)
    if part in _MLPS and (transcodes or side == "input"):
        return NamedSite(name, Site(layer, HookPoint.MLP_IN), part=part, side="input")
    if side == "input":
        return None
    for parts, of in (
        (_MLPS, HookPoint.MLP_OUT),
        (_NORMS_AFTER_MLP, HookPoint.MLP_OUT),
        (_ATTENTIONS, HookPoint.ATTN_OUT),
        (_NORMS_BEFORE_MLP, HookPoint.MLP_IN),
    ):
        if part in parts:
            return NamedSite(name, Site(layer, of), part=part)
    return None


def _side(name: str) -> tuple[str, Side]:
    if name.endswith(".input"):
        return name.removesuffix(".input"), "input"
    return name.removesuffix(".output"), "output"


def _require_offered(name: str, inner: str) -> None:
    meaning = _NOT_OFFERED.get(inner)
    if meaning is not None:
        points = ", ".join(point.value for point in HookPoint)
        raise InvalidInput(
            f"The site {name} is {meaning}; saetui does not read there.", f"SAEs of {points} can be evaluated."
        )
