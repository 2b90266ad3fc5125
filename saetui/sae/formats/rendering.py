"""Each architecture in SAELens's layout: its name there, its configuration, its weights in raw units.

constant_norm's scale s is folded in: W_enc·s, W_dec/s, b_dec/s; biases of the encoder, gates and thresholds stay, as the
latents' activations do. A transcoder has one scale for its input (W_enc) and one for its target (W_dec, b_dec), and
W_skip takes both. layer_norm cannot be folded: it stands in the configuration, and SAELens applies it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from saetui.errors import FormatError, InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.normalization import Normalization

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]

KEEP = "saetui's own format (--format saetui) keeps it whole: saetui evaluates it, and goes on training from it."


@dataclass(frozen=True)
class Rendering:
    """One SAE in a layout.

    Attributes:
        architecture: the name that the layout has for it.
        weights: float32 on the CPU, for raw activations.
        config: further fields of the configuration.
    """

    architecture: str
    weights: dict[str, Tensor]
    config: dict[str, JSON] = field(default_factory=dict)


def render_saelens(sae: SparseAutoencoder, units: Normalization, target: Normalization) -> Rendering:
    """The SAE in SAELens's terms. It was trained in the units of its input and its target, the same but for transcoders.

    Raises:
        InvalidInput: SAELens has no architecture that computes the same.
        FormatError: a weight is not finite.
    """
    renderer = _RENDERERS.get(sae.architecture)
    if renderer is None:
        raise InvalidInput(f"SAELens has no architecture for {sae.architecture}.", KEEP)
    if not sae.centres_input:
        _require_transcoder_units(sae, units, target)
    architecture, config = renderer(sae)
    weights = folded(sae, units.scale, target.scale)
    if "W_skip" in weights:
        weights["W_skip"] = weights["W_skip"].t().contiguous()  # (d_out, d_in) there
    if architecture.startswith("jumprelu"):
        # batch_topk has one threshold for all latents.
        weights["threshold"] = weights["threshold"].expand(sae.latents).contiguous()
    return Rendering(architecture, weights, config)


def render_own(sae: SparseAutoencoder, units: Normalization, target: Normalization) -> Rendering:
    """The SAE under its own name, with all its options, for architectures that no other tool has.

    Raises:
        InvalidInput: a transcoder's target cannot be brought back to raw units.
        FormatError: a weight is not finite.
    """
    if not sae.centres_input:
        _require_one_scale(target)
    return Rendering(sae.architecture, folded(sae, units.scale, target.scale))


def folded(sae: SparseAutoencoder, scale: float, target_scale: float) -> dict[str, Tensor]:
    """All of an SAE's tensors with the scales of its input and target folded in, float32, on the CPU.

    Raises:
        FormatError: a weight is not finite.
    """
    raw = sae.finished_state
    raw["W_enc"] = sae.encoder_weight
    factors = {"W_enc": scale, "W_dec": 1 / target_scale, "b_dec": 1 / target_scale, "W_skip": scale / target_scale}
    weights = {
        name: (tensor.detach() * factors.get(name, 1.0)).to("cpu", torch.float32).contiguous()
        for name, tensor in raw.items()
    }
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise FormatError(f"{name} holds values that are not finite.", "Export an earlier checkpoint.")
    return weights


def as_json(values: Mapping[str, object]) -> dict[str, JSON]:
    """Options and facts as JSON values; tuples become lists."""
    return {name: _value(value) for name, value in values.items()}


def _value(value: object) -> JSON:
    if isinstance(value, (list, tuple)):
        return [_value(inner) for inner in value]
    if isinstance(value, Mapping):
        return {str(name): _value(inner) for name, inner in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"{value!r} is not a JSON value")


def _require_transcoder_units(sae: SparseAutoencoder, units: Normalization, target: Normalization) -> None:
    _require_one_scale(target)
    if units.kind == "layer_norm" and "W_skip" in sae.state_dict():
        raise InvalidInput(
            "SAELens's skip transcoder gives its linear path the raw input; this one was trained on layer_norm.", KEEP
        )
    if units.kind == "layer_norm" and sae.description.get("k") is not None:
        raise InvalidInput("SAELens has no transcoder that keeps the k largest after layer_norm.", KEEP)


def _require_one_scale(target: Normalization) -> None:
    if target.kind == "layer_norm":
        raise InvalidInput(
            "A transcoder's target cannot be in layer_norm units: what was taken away is not known from the input.",
            "Train it with constant_norm.",
        )


def _topk(sae: SparseAutoencoder) -> tuple[str, dict[str, JSON]]:
    k = sae.description["k"]
    assert isinstance(k, int), "checked where the SAE is built"
    # Ours chooses by h, whatever the norms: SAELens's rescaling must be off.
    return "topk", {"k": k, "rescale_acts_by_decoder_norm": False}


def _transcoder(sae: SparseAutoencoder) -> tuple[str, dict[str, JSON]]:
    if sae.description.get("k") is None:
        return "transcoder", {"d_out": sae.d_out}
    if sae.d_in != sae.d_out:
        raise InvalidInput(
            f"SAELens has no transcoder with k between widths {sae.d_in} and {sae.d_out}.",
            f"Export to sparsify, or train by l1_alpha. {KEEP}",
        )
    # SAELens has no transcoder with k, but its topk that subtracts no b_dec computes the same.
    return _topk(sae)


def _skip_transcoder(sae: SparseAutoencoder) -> tuple[str, dict[str, JSON]]:
    if sae.description.get("k") is not None:
        raise InvalidInput(
            "SAELens has no skip transcoder that keeps the k largest: its own is a ReLU.",
            f"Export to sparsify, which has it, or train by l1_alpha. {KEEP}",
        )
    return "skip_transcoder", {"d_out": sae.d_out}


def _skip(sae: SparseAutoencoder) -> tuple[str, dict[str, JSON]]:
    raise InvalidInput(
        "SAELens has no architecture for skip: it would take (1 − c)·decode(z) + c·x for decode(z), or drop c without a word.",
        KEEP,
    )


_RENDERERS: Mapping[str, Callable[[SparseAutoencoder], tuple[str, dict[str, JSON]]]] = {
    "standard": lambda sae: ("standard", {}),
    "topk": _topk,
    "batch_topk": lambda sae: ("jumprelu", {}),
    "matryoshka": lambda sae: ("jumprelu", {}),
    "jumprelu": lambda sae: ("jumprelu", {}),
    "gated": lambda sae: ("gated", {}),
    "transcoder": _transcoder,
    "skip_transcoder": _skip_transcoder,
    "jumprelu_transcoder": lambda sae: (sae.architecture, {"d_out": sae.d_out}),
    "jumprelu_skip_transcoder": lambda sae: (sae.architecture, {"d_out": sae.d_out}),
    "skip": _skip,
}
