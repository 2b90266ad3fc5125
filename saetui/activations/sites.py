"""Where in a transformer activations are read: a layer and a point in it, and other tools' names for that place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from saetui.errors import InvalidInput
from saetui.formats.names import site_name


class HookPoint(str, Enum):
    """A place in a layer.

    - `resid_pre`: the residual stream as the layer receives it.
    - `resid_post`: the residual stream as the layer leaves it; the next layer's `resid_pre`.
    - `mlp_in`: the tensor that goes into the MLP, after the norm before it where the layer has one.
    - `mlp_out`: the MLP's contribution to the residual stream: after the norm that follows the MLP in some families
      (Gemma 2, OLMo 2), and times the factor that others add it with (Granite).
    - `attn_out`: the attention's contribution to the residual stream, likewise. In a layer of a hybrid model, that of the part
      in place of the attention (linear attention, a short convolution, a recurrence).

    Where a layer has both, `resid_post` = `resid_pre` + `attn_out` + `mlp_out`. In families that norm the stream after each
    addition (BERT), they are added to the stream before these norms.
    """

    RESID_PRE = "resid_pre"
    RESID_POST = "resid_post"
    MLP_IN = "mlp_in"
    MLP_OUT = "mlp_out"
    ATTN_OUT = "attn_out"


_TRANSFORMER_LENS = {
    HookPoint.RESID_PRE: "hook_resid_pre",
    HookPoint.RESID_POST: "hook_resid_post",
    # Not ln2.hook_normalized, which lacks the norm's weight and bias, nor hook_mlp_in, the stream before the norm.
    HookPoint.MLP_IN: "mlp.hook_in",
    HookPoint.MLP_OUT: "hook_mlp_out",
    HookPoint.ATTN_OUT: "hook_attn_out",
}

_NAME = re.compile(r"layer_(\d{1,6})\.(\w+)")


@dataclass(frozen=True, order=True)
class Site:
    """One place to read activations from: a layer, counted from 0, and a point in it."""

    layer: int
    hook_point: HookPoint

    @property
    def name(self) -> str:
        """The site's name, in files and on screens: `layer_2.resid_post`."""
        return site_name(self.layer, self.hook_point.value)

    @property
    def transformer_lens_name(self) -> str:
        """The name of the same tensor in TransformerLens: `blocks.2.hook_resid_post`.

        For `mlp_in` it is `blocks.2.mlp.hook_in`, the MLP's own input. TransformerBridge and SAELens's HookedSAETransformer have
        that hook. A plain HookedTransformer has no hook with this tensor.
        """
        return f"blocks.{self.layer}.{_TRANSFORMER_LENS[self.hook_point]}"

    @classmethod
    def parse(cls, name: str) -> Site:
        """The site of a name.

        Raises:
            InvalidInput: the name is not `layer_<number>.<hook point>`.
        """
        match = _NAME.fullmatch(name)
        points = [point.value for point in HookPoint]
        if match is None or match[2] not in points:
            raise InvalidInput(
                f"{name!r} is not a site.", f"Write it as layer_2.resid_post; the hook points are {', '.join(points)}."
            )
        return cls(int(match[1]), HookPoint(match[2]))


@dataclass(frozen=True)
class Location:
    """A site in one model: the module whose input or output is the activation.

    Attributes:
        site: the site.
        module_name: the module's path in the whole network, in Hugging Face's naming: `transformer.h.2`.
        side: whether the activation is the module's input or its output.
        d: the activation's width.
        factor: the activation is the module's output times this. Granite and similar families multiply an output by it before
            they add it to the residual stream; elsewhere it is 1.
    """

    site: Site
    module_name: str
    side: Literal["input", "output"]
    d: int
    factor: float = 1.0

    @property
    def tensor_name(self) -> str:
        """The tensor's name in transformers' naming: `transformer.h.2` for an output, `transformer.h.2.mlp.input` for an input.

        The ending is there because a hook on the module would read its output.
        """
        return self.module_name if self.side == "output" else f"{self.module_name}.input"
