"""The result, as SAELens loads it: cfg.json and sae_weights.safetensors, in raw activation units."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from saetui.errors import FormatError, InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.normalization import Normalization

WEIGHTS_FILE = "sae_weights.safetensors"
CONFIG_FILE = "cfg.json"

# The layout's version. Without one of 6 or later SAELens runs an old converter, which drops the metadata.
_SAE_LENS_VERSION = "6.54.12"

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]


@dataclass(frozen=True)
class ExportMetadata:
    """Where an SAE was trained: what SAELens needs to run its model, and what a reader wants to know.

    Attributes:
        model_name: as the model is loaded.
        hook_name: TransformerLens's name of the site, e.g. blocks.2.hook_resid_post.
        hf_hook_name: the module's name in transformers, e.g. transformer.h.2.
        hook_layer: the layer's number.
        context_size: tokens in a training context.
        dataset_path: the text's source.
        prepend_bos: whether contexts began with a BOS token.
        exclude_special_tokens: whether special tokens were left out of training.
        model_class_name: what SAELens loads the model with.
        hook_name_out: the target's site, for transcoders.
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
    extra: Mapping[str, JSON] = field(default_factory=dict)

    def as_json(self, sae: SparseAutoencoder, normalization: Normalization) -> dict[str, JSON]:
        """What SAELens's loader and its ActivationsStore.from_sae look for, and saetui's own facts under "saetui"."""
        facts: dict[str, JSON] = {
            "sae_lens_version": _SAE_LENS_VERSION,
            "sae_lens_training_version": None,
            "model_name": self.model_name,
            "model_class_name": self.model_class_name,
            "model_from_pretrained_kwargs": {},
            "hook_name": self.hook_name,
            "hook_head_index": None,
            "hf_hook_name": self.hf_hook_name,
            "hook_layer": self.hook_layer,
            "context_size": self.context_size,
            "dataset_path": self.dataset_path,
            "prepend_bos": self.prepend_bos,
            "exclude_special_tokens": self.exclude_special_tokens,
            "seqpos_slice": [None],
            "training_architecture": sae.architecture,
            "saetui": {
                "description": dict(sae.description),
                "normalization": dict(normalization.description),
                **dict(self.extra),
            },
        }
        if self.hook_name_out is not None:
            facts["hook_name_out"] = self.hook_name_out
        return facts


def export_saelens(
    directory: Path, sae: SparseAutoencoder, normalization: Normalization, metadata: ExportMetadata
) -> None:
    """Writes the SAE as a directory that SAELens loads, all or nothing; an older export there is replaced.

    constant_norm's scale s is folded in (W_enc·s, W_dec/s, b_dec/s; b_enc stays), so that the files take and give
    raw activations. layer_norm cannot be folded: the configuration says it, and SAELens does the same.

    Args:
        directory: of the result; its parent must exist.
        sae: trained in normalised units.
        normalization: those units.
        metadata: where it was trained.

    Raises:
        FormatError: a weight is not finite, or something that is not an export is in the way.
        InvalidInput: SAELens has no such architecture.
        OSError: the disk would not take it; nothing is left behind.
    """
    writer = _ARCHITECTURES.get(sae.architecture)
    if writer is None:
        raise InvalidInput(
            f"SAELens has no architecture for {sae.architecture}.", "Keep the checkpoint: it is saetui's own format."
        )
    weights = _folded(sae, normalization.scale)
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise FormatError(f"{name} holds values that are not finite.", "Export an earlier checkpoint.")
    config: dict[str, JSON] = {
        "d_in": sae.d_in,
        "d_sae": sae.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.centres_input,
        "normalize_activations": "layer_norm" if normalization.kind == "layer_norm" else "none",
        "reshape_activations": "none",
        **writer(sae),
        "metadata": metadata.as_json(sae, normalization),
    }
    files = {
        CONFIG_FILE: json.dumps(config, indent=1, allow_nan=False).encode(),
        WEIGHTS_FILE: save(weights),
    }
    _replace_directory(directory, files)


def _standard(sae: SparseAutoencoder) -> dict[str, JSON]:
    return {"architecture": "standard"}


def _topk(sae: SparseAutoencoder) -> dict[str, JSON]:
    # Ours chooses by h, whatever the norms: SAELens's rescaling must be off.
    return {"architecture": "topk", "k": sae.options["k"], "rescale_acts_by_decoder_norm": False}


_ARCHITECTURES: dict[str, Callable[[SparseAutoencoder], dict[str, JSON]]] = {"standard": _standard, "topk": _topk}


def _folded(sae: SparseAutoencoder, scale: float) -> dict[str, Tensor]:
    raw = {
        "W_enc": sae.encoder_weight.detach() * scale,
        "W_dec": sae.W_dec.detach() / scale,
        "b_enc": sae.b_enc.detach(),
        "b_dec": sae.b_dec.detach() / scale,
    }
    return {name: tensor.to("cpu", torch.float32).contiguous() for name, tensor in raw.items()}


def _replace_directory(directory: Path, files: Mapping[str, bytes]) -> None:
    foreign = [entry.name for entry in directory.iterdir() if entry.name not in files] if directory.is_dir() else []
    if foreign or (directory.exists() and not directory.is_dir()):
        raise FormatError(
            f"{directory} is in the way: it holds {', '.join(sorted(foreign)[:3]) or 'a file'}, not an export.",
            "Choose another directory.",
        )
    made = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, content in files.items():
            _write_synced(made / name, content)
        _sync(made)
        if directory.exists():
            # A directory cannot be renamed over a full one: the old one steps aside, and goes last.
            aside = made.with_name(made.name + ".old")
            directory.rename(aside)
            made.rename(directory)
            shutil.rmtree(aside)
        else:
            made.rename(directory)
        _sync(directory.parent)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _write_synced(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
