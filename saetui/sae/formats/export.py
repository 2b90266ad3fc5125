"""Writes an SAE as a directory: in SAELens's layout, or in saetui's own where SAELens has no such architecture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save

from saetui.errors import InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.formats.files import CHECKSUMS, CONFIG_FILE, WEIGHTS_FILE, checksums_of, write_export
from saetui.sae.formats.rendering import JSON, Rendering, as_json, render_own, render_saelens
from saetui.sae.normalization import Normalization

# The layout's version. Without one of 6 or later SAELens runs an old converter, which drops the metadata.
_SAE_LENS_VERSION = "6.54.12"
OWN_FORMAT = "saetui"
"""`format` in the configuration of a directory in saetui's own format; SAELens's has no such field."""


@dataclass(frozen=True)
class ExportMetadata:
    """Where an SAE was trained: facts that SAELens needs to run the model, and facts for the reader.

    Attributes:
        model_name: as the model is loaded.
        hook_name: TransformerLens's name of the site, e.g. blocks.2.hook_resid_post.
        hf_hook_name: the same tensor in transformers' naming: a module (for its output), e.g. transformer.h.2, or a module with
            `.input`.
        hook_layer: the layer's number.
        context_size: tokens in a training context.
        dataset_path: the text's source.
        prepend_bos: whether contexts began with a BOS token.
        exclude_special_tokens: whether special tokens were left out of training.
        model_class_name: the class with which SAELens loads the model.
        hook_name_out: the target's site, for transcoders.
        hf_hook_name_out: that site in transformers' naming.
        revision: of a model of the Hub; None for its main one.
        extra: further facts (steps, tokens, l0, …), JSON values.
    """

    model_name: str
    hook_name: str
    hf_hook_name: str
    hook_layer: int
    context_size: int
    dataset_path: str
    prepend_bos: bool
    exclude_special_tokens: bool = True
    model_class_name: str = "HookedTransformer"
    hook_name_out: str | None = None
    hf_hook_name_out: str | None = None
    revision: str | None = None
    extra: Mapping[str, JSON] = field(default_factory=dict)

    def as_json(self, sae: SparseAutoencoder, normalization: Normalization, target: Normalization) -> dict[str, JSON]:
        """The facts that SAELens's loader and its ActivationsStore.from_sae read, and saetui's own under "saetui"."""
        facts: dict[str, JSON] = {
            "sae_lens_version": _SAE_LENS_VERSION,
            "sae_lens_training_version": None,
            "model_name": self.model_name,
            "model_class_name": self.model_class_name,
            # TransformerLens's from_pretrained changes the model unless it is told not to: folded norms change the MLP's
            # input, centred weights the residual stream.
            "model_from_pretrained_kwargs": {
                "fold_ln": False,
                "center_writing_weights": False,
                **({} if self.revision is None else {"revision": self.revision}),
            },
            "hook_name": self.hook_name,
            "hook_head_index": None,
            "hf_hook_name": self.hf_hook_name,
            "hook_layer": self.hook_layer,
            "context_size": self.context_size,
            "dataset_path": self.dataset_path,
            "prepend_bos": self.prepend_bos,
            "exclude_special_tokens": self.exclude_special_tokens,
            # Position 0 of a context is never trained on.
            "seqpos_slice": [1, None],
            "training_architecture": sae.architecture,
            "saetui": {
                "description": as_json(sae.description),
                "normalization": as_json(normalization.description),
                **({} if sae.centres_input else {"target_normalization": as_json(target.description)}),
                **as_json(self.extra),
            },
        }
        if self.hook_name_out is not None:
            facts["hook_name_out"] = self.hook_name_out
            facts["hf_hook_name_out"] = self.hf_hook_name_out
        return facts


def export_saelens(
    directory: Path,
    sae: SparseAutoencoder,
    normalization: Normalization,
    metadata: ExportMetadata,
    *,
    target: Normalization | None = None,
) -> None:
    """Write the SAE as a directory that SAELens loads, all or nothing; an older export there is replaced.

    The exported SAE takes and gives raw activations (rendering.py).

    Args:
        directory: the result; its parent must exist.
        sae: trained in normalised units.
        normalization: those units.
        metadata: where the SAE was trained.
        target: the units of a transcoder's target; None: those of its input.

    Raises:
        InvalidInput: SAELens has no architecture that computes the same, or a transcoder's target cannot be in raw units.
        FormatError: a weight is not finite, or something that is not an export is in the way.
        OSError: the disk refuses; nothing is left behind.
    """
    goal = target or normalization
    _write(directory, sae, normalization, goal, metadata, render_saelens(sae, normalization, goal), {})


def export_saetui(
    directory: Path,
    sae: SparseAutoencoder,
    normalization: Normalization,
    metadata: ExportMetadata,
    *,
    target: Normalization | None = None,
) -> None:
    """Write the SAE in saetui's own format: the same two files, under the architecture's own name. As `export_saelens`."""
    goal = target or normalization
    own: dict[str, JSON] = {"format": OWN_FORMAT, "d_out": sae.d_out}
    _write(directory, sae, normalization, goal, metadata, render_own(sae, normalization, goal), own)


def export_result(
    directory: Path,
    sae: SparseAutoencoder,
    normalization: Normalization,
    metadata: ExportMetadata,
    *,
    target: Normalization | None = None,
) -> str | None:
    """Write a training's result: for SAELens where it has the architecture, else in saetui's own format.

    Returns:
        None, or why SAELens cannot load it.
    """
    try:
        export_saelens(directory, sae, normalization, metadata, target=target)
    except InvalidInput as refused:
        export_saetui(directory, sae, normalization, metadata, target=target)
        return refused.message
    return None


def _write(
    directory: Path,
    sae: SparseAutoencoder,
    units: Normalization,
    target: Normalization,
    metadata: ExportMetadata,
    rendering: Rendering,
    fields: dict[str, JSON],
) -> None:
    config: dict[str, JSON] = {
        **fields,
        "d_in": sae.d_in,
        "d_sae": sae.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.centres_input,
        "normalize_activations": "layer_norm" if units.kind == "layer_norm" else "none",
        "reshape_activations": "none",
        "architecture": rendering.architecture,
        **rendering.config,
    }
    facts = metadata.as_json(sae, units, target)
    config["metadata"] = facts
    weights = save(rendering.weights)
    own = facts["saetui"]
    assert isinstance(own, dict)
    own[CHECKSUMS] = dict(checksums_of(config, weights))
    content = json.dumps(config, indent=1, allow_nan=False).encode()
    write_export(directory, {CONFIG_FILE: content, WEIGHTS_FILE: weights})
