"""Reads an SAE from a directory in SAELens's layout or in saetui's own. safetensors and JSON only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from saetui.errors import FormatError, InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.formats import files
from saetui.sae.formats.conventions import apply_conventions, centre_input, modern_config
from saetui.sae.formats.export import OWN_FORMAT
from saetui.sae.formats.files import AGAIN, CONFIG_FILE, WEIGHTS_FILE
from saetui.sae.jumprelu import JumpReLUSkipTranscoder, JumpReLUTranscoder
from saetui.sae.normalization import Normalization
from saetui.sae.options import Option
from saetui.sae.registry import build, build_from

Layout = Literal["saelens", "saetui", "sparsify", "gemma_scope", "gemma_scope_2", "llama_scope"]

_UNIT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class LoadedSAE:
    """An SAE and the units it works in.

    Attributes:
        sae: takes activations that `normalization` has normalised.
        normalization: `none` for all but layer_norm: a scale is already folded in.
        metadata: the configuration's metadata, unchanged.
        layout: of the directory.
    """

    sae: SparseAutoencoder
    normalization: Normalization
    metadata: dict[str, Any] = field(default_factory=dict)
    layout: Layout = "saelens"

    @property
    def target(self) -> Normalization:
        """The units of the target: those of the input, but a transcoder predicts raw activations."""
        return self.normalization if self.sae.centres_input else Normalization()

    def encode(self, raw: Tensor) -> Tensor:
        """z (B, F) for raw activations (B, d_in)."""
        return self.sae.encode(self.normalization.normalise(raw))

    def reconstruct(self, raw: Tensor) -> Tensor:
        """x̂ (B, d_out) in raw units for raw activations (B, d_in)."""
        return self.target.restore(self.sae(self.normalization.normalise(raw)), raw)


def load_saelens(directory: Path) -> LoadedSAE:
    """The SAE in a directory in SAELens's layout (any version's), or in saetui's own format.

    Raises:
        FormatError: the directory or a file is missing, damaged, or of a kind that saetui cannot read.
    """
    written = files.read_json(directory / CONFIG_FILE)
    loaded = _load(directory, modern_config(written))
    # Last: other checks have more specific messages.
    files.require_unchanged(directory, written, directory / WEIGHTS_FILE)
    return loaded


def _load(directory: Path, config: dict[str, Any]) -> LoadedSAE:
    facts = config.get("metadata")
    metadata = facts if isinstance(facts, dict) else {}
    weights = files.read_tensors(directory / WEIGHTS_FILE)
    if config.get("format") == OWN_FORMAT:
        return LoadedSAE(_own(config, metadata, weights, directory), _units(config), metadata, "saetui")
    known = _ARCHITECTURES.get(str(config.get("architecture")))
    if known is None:
        raise FormatError(
            f"{directory} holds an SAE of architecture {config.get('architecture')!r}.",
            f"These can be read: {', '.join(_ARCHITECTURES)}.",
        )
    path = directory / CONFIG_FILE
    d_in, latents = files.whole_number(config, "d_in", path), files.whole_number(config, "d_sae", path)
    d_out = files.whole_number(config, "d_out", path) if known.transcodes else d_in
    shapes = _shapes(known.tensors, d_in, d_out, latents)
    if "scaling_factor" in weights:
        # apply_conventions judges it.
        shapes["scaling_factor"] = tuple(weights["scaling_factor"].shape)
    require_shapes(weights, shapes, directory / WEIGHTS_FILE)
    apply_conventions(config, weights, directory)
    architecture = str(config["architecture"])
    options: dict[str, Option] = {}
    if architecture == "topk":
        # SAELens assumes 100 for a missing k without a warning. saetui refuses it.
        options["k"] = files.whole_number(config, "k", path, at_most=latents)
    if not config.get("apply_b_dec_to_input", not known.transcodes):
        # SAELens has no transcoder with k: a topk that predicts another site stands for one.
        predicts = metadata.get("hook_name_out") or metadata.get("training_architecture") == "transcoder"
        if architecture == "topk" and predicts:
            architecture = "transcoder"
        elif not known.transcodes:
            centre_input(weights)
    elif known.transcodes:
        raise FormatError(f"{directory} is a transcoder that subtracts b_dec from its input.", AGAIN)
    if "W_skip" in weights:
        weights["W_skip"] = weights["W_skip"].t().contiguous()
        if _units(config).kind == "layer_norm":
            raise FormatError(
                f"{directory} is a skip transcoder on layer_norm, whose linear path reads the raw input.",
                "saetui's reads the normalised one: it cannot represent this.",
            )
    sae = _built(architecture, d_in, d_out, latents, {**options, "decoder_norm": decoder_norm_of(weights)})
    sae.load_state_dict(weights)
    return LoadedSAE(sae, _units(config), metadata)


def decoder_norm_of(weights: Mapping[str, Tensor]) -> Literal["unit", "free"]:
    """Whether all rows of W_dec are of unit norm."""
    norms = weights["W_dec"].norm(dim=1)
    return "unit" if bool(((norms - 1.0).abs() <= _UNIT_TOLERANCE).all()) else "free"


def assemble_jumprelu(weights: dict[str, Tensor], path: Path, *, transcodes: bool) -> SparseAutoencoder:
    """A jumprelu SAE or transcoder from another tool's tensors, whose encoder subtracts no b_dec.

    Args:
        weights: W_enc (d_in, F), W_dec (F, d_out), b_enc (F,), b_dec (d_out,), threshold (F,), for raw activations, and for
            a transcoder with a linear path W_skip (d_in, d_out). Changed in place.
        transcodes: whether it is a transcoder.

    Raises:
        FormatError: a tensor is missing, of another shape, or not of floating point.
    """
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    sizes = found.get("W_enc", ()), found.get("W_dec", ())
    if any(len(shape) != 2 for shape in sizes):
        raise FormatError(f"{path} has no W_enc and W_dec of two dimensions.", AGAIN)
    (d_in, latents), (_, d_out) = sizes
    names = ("b_enc", "threshold", *(("W_skip",) if "W_skip" in weights else ()))
    shapes = _shapes(names, d_in, d_out, latents) | ({"W_skip": (d_in, d_out)} if "W_skip" in weights else {})
    require_shapes(weights, shapes, path)
    if not transcodes and (d_in != d_out or "W_skip" in weights):
        raise FormatError(f"{path} reads width {d_in} and gives {d_out}, but is not said to be a transcoder.", AGAIN)
    # z = h above its threshold, and never negative.
    weights["threshold"] = weights["threshold"].clamp_min(0.0)
    architecture = "jumprelu"
    if transcodes:
        architecture = "jumprelu_skip_transcoder" if "W_skip" in weights else "jumprelu_transcoder"
    else:
        centre_input(weights)
    sae = _built(architecture, d_in, d_out, latents, {"decoder_norm": decoder_norm_of(weights)})
    sae.load_state_dict(weights)
    return sae


def as_trained(loaded: LoadedSAE) -> SparseAutoencoder:
    """The SAE under the architecture that it was trained as, where saetui's metadata name that; else as it was loaded.

    batch_topk and matryoshka are exported as jumprelu; their k and widths are in the metadata.
    """
    facts = loaded.metadata.get("saetui")
    description = facts.get("description") if isinstance(facts, dict) else None
    sae = loaded.sae
    if not isinstance(description, dict) or sae.architecture != "jumprelu":
        return sae
    wanted = {**description, "decoder_norm": sae.description["decoder_norm"]}
    weights = dict(sae.state_dict())
    threshold = weights.pop("threshold")
    sizes = {"d_in": sae.d_in, "d_out": sae.d_out, "latents": sae.latents}
    uniform = bool((threshold == threshold[0]).all())
    if description.get("architecture") not in ("batch_topk", "matryoshka") or not uniform:
        return sae
    trained = _described({**wanted, **sizes})
    trained.load_state_dict({**weights, "threshold": threshold[0], "threshold_batches": torch.tensor(1)})
    return trained


def _built(architecture: str, d_in: int, d_out: int, latents: int, options: Mapping[str, Option]) -> SparseAutoencoder:
    """An SAE of one of saetui's architectures, or of one that can only be read."""
    foreign = _ONLY_READ.get(architecture)
    if foreign is None:
        return build(architecture, d_in, d_out, latents, torch.Generator(), **options)
    return foreign(d_in, d_out, latents, torch.Generator(), **options)


_ONLY_READ: Mapping[str, type[JumpReLUTranscoder]] = {
    "jumprelu_transcoder": JumpReLUTranscoder,
    "jumprelu_skip_transcoder": JumpReLUSkipTranscoder,
}


@dataclass(frozen=True)
class _Known:
    """An architecture of SAELens's: its tensors besides W_enc, W_dec and b_dec."""

    tensors: tuple[str, ...]
    transcodes: bool = False


_ARCHITECTURES: Mapping[str, _Known] = {
    "standard": _Known(("b_enc",)),
    "topk": _Known(("b_enc",)),
    "jumprelu": _Known(("b_enc", "threshold")),
    "gated": _Known(("b_gate", "b_mag", "r_mag")),
    "transcoder": _Known(("b_enc",), transcodes=True),
    "skip_transcoder": _Known(("b_enc", "W_skip"), transcodes=True),
    "jumprelu_transcoder": _Known(("b_enc", "threshold"), transcodes=True),
    "jumprelu_skip_transcoder": _Known(("b_enc", "threshold", "W_skip"), transcodes=True),
    # Checkpoints of its trainer.
    "batchtopk": _Known(("b_enc", "topk_threshold")),
    "matryoshka_batchtopk": _Known(("b_enc", "topk_threshold")),
}


def _shapes(names: tuple[str, ...], d_in: int, d_out: int, latents: int) -> dict[str, tuple[int, ...]]:
    special: dict[str, tuple[int, ...]] = {"W_skip": (d_out, d_in), "topk_threshold": ()}
    weights = {"W_enc": (d_in, latents), "W_dec": (latents, d_out), "b_dec": (d_out,)}
    return {**weights, **{name: special.get(name, (latents,)) for name in names}}


def require_shapes(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Require that a file holds floating-point tensors of these names and shapes, and no others.

    Raises:
        FormatError: it does not.
    """
    for name, shape in shapes.items():
        if name not in weights:
            raise FormatError(f"{path} has no {name}, which its architecture needs.", AGAIN)
        if tuple(weights[name].shape) != shape:
            raise FormatError(
                f"{name} in {path} has shape {tuple(weights[name].shape)}; its configuration gives {shape}.",
                "The files do not belong together: export or download the SAE again.",
            )
        if not weights[name].is_floating_point():
            raise FormatError(f"{name} in {path} is of type {weights[name].dtype}.", AGAIN)
    unknown = sorted(weights.keys() - shapes.keys())
    if unknown:
        raise FormatError(f"{path} holds {', '.join(unknown[:3])}, which its architecture does not have.", AGAIN)


def _own(
    config: Mapping[str, Any], metadata: Mapping[str, Any], weights: dict[str, Tensor], directory: Path
) -> SparseAutoencoder:
    """An SAE in saetui's own format."""
    facts = metadata.get("saetui")
    description = facts.get("description") if isinstance(facts, dict) else None
    if not isinstance(description, dict):
        raise FormatError(f"{directory / CONFIG_FILE} does not say how the SAE was made.", AGAIN)
    path = directory / CONFIG_FILE
    sizes = {
        name: files.whole_number(config, key, path)
        for name, key in (("d_in", "d_in"), ("d_out", "d_out"), ("latents", "d_sae"))
    }
    if "W_dec" not in weights or tuple(weights["W_dec"].shape) != (sizes["latents"], sizes["d_out"]):
        raise FormatError(f"W_dec in {directory / WEIGHTS_FILE} does not have the shape that cfg.json gives.", AGAIN)
    # In raw units tied weights differ: W_enc is multiplied by the scale, W_dec divided by it.
    untied = {"tie_weights": False} if "tie_weights" in description else {}
    sae = _described({**description, **sizes, **untied, "decoder_norm": decoder_norm_of(weights)})
    shapes = {name: tuple(tensor.shape) for name, tensor in sae.state_dict().items()}
    counts = shapes.pop("threshold_batches", None) is not None
    if counts:
        weights.pop("threshold_batches", None)
    require_shapes(weights, shapes, directory / WEIGHTS_FILE)
    if counts:
        weights["threshold_batches"] = torch.tensor(1)
    sae.load_state_dict(weights)
    return sae


def _described(description: Mapping[str, Any]) -> SparseAutoencoder:
    """The SAE that a description in a file is of."""
    try:
        return build_from(description)
    except (InvalidInput, TypeError, ValueError) as wrong:
        raise FormatError(f"cfg.json describes an impossible SAE: {wrong}", AGAIN) from wrong


def _units(config: Mapping[str, Any]) -> Normalization:
    return Normalization("layer_norm" if config.get("normalize_activations") == "layer_norm" else "none")
