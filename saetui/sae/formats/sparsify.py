"""EleutherAI's sparsify: `cfg.json` and `sae.safetensors` of one hookpoint, written and read (sparsify 1.3.3)."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save

from saetui.errors import FormatError, InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.formats.files import AGAIN, CONFIG_FILE, folders_of, read_json, read_tensors, whole_number, write_export
from saetui.sae.formats.loading import LoadedSAE, as_trained, decoder_norm_of, require_shapes
from saetui.sae.formats.rendering import folded
from saetui.sae.normalization import Normalization
from saetui.sae.options import Option
from saetui.sae.registry import build

SPARSIFY_WEIGHTS = "sae.safetensors"

_FIELDS = frozenset(
    [
        "activation",
        "expansion_factor",
        "normalize_decoder",
        "num_latents",
        "k",
        "multi_topk",
        "skip_connection",
        "transcode",
        "d_in",
    ]
)
"""The fields of a configuration of sparsify 1.3.3. Those that are not read here matter to its training alone."""


def export_sparsify(directory: Path, loaded: LoadedSAE) -> None:
    """Write a directory that sparsify's `SparseCoder.load_from_disk` loads, in raw units.

    Raises:
        InvalidInput: sparsify cannot compute the same: it always keeps the k largest latents of a token.
        FormatError: something that is not an export is in the way.
        OSError: the disk refuses; nothing is left behind.
    """
    sae = loaded.sae
    k = sae.description.get("k")
    if sae.architecture not in ("topk", "transcoder", "skip_transcoder") or k is None:
        raise InvalidInput(
            f"sparsify has nothing for {as_trained(loaded).architecture}{'' if sae.centres_input else ' by l1_alpha'}: "
            "it always keeps the k largest latents of a token.",
            "topk, and transcoders with k, can be exported to it.",
        )
    if loaded.normalization.kind != "none":
        raise InvalidInput(f"sparsify does not normalise its input by {loaded.normalization.kind}.", "Use saelens.")
    if sae.d_in != sae.d_out:
        raise InvalidInput(f"sparsify has one width, not {sae.d_in} and {sae.d_out}.", "Use saelens.")
    raw = folded(sae, 1.0, 1.0)
    weights = {
        "encoder.weight": raw["W_enc"].t().contiguous(),
        "encoder.bias": raw["b_enc"],
        "W_dec": raw["W_dec"],
        "b_dec": raw["b_dec"],
    }
    if "W_skip" in raw:
        weights["W_skip"] = raw["W_skip"].t().contiguous()
    config = {
        "activation": "topk",
        "expansion_factor": max(1, sae.latents // sae.d_in),
        "normalize_decoder": sae.description["decoder_norm"] == "unit",
        "num_latents": sae.latents,
        "k": k,
        "multi_topk": False,
        "skip_connection": "W_skip" in raw,
        "transcode": not sae.centres_input,
        "d_in": sae.d_in,
    }
    files = {CONFIG_FILE: json.dumps(config, indent=1).encode(), SPARSIFY_WEIGHTS: save(weights)}
    write_export(directory, files)


def load_sparsify(directory: Path) -> LoadedSAE:
    """The SAE or transcoder in a directory of one hookpoint that sparsify wrote.

    Raises:
        FormatError: a file is missing or damaged, or the SAE is of a kind that saetui has not.
    """
    config = read_json(directory / CONFIG_FILE)
    weights = read_tensors(directory / SPARSIFY_WEIGHTS)
    if config.get("activation", "topk") != "topk":
        raise FormatError(f"{directory} has the activation {config['activation']!r}.", "topk can be read.")
    unknown = sorted(name for name, value in config.items() if name not in _FIELDS and value)
    if unknown:
        shown = ", ".join(f"{name}: {json.dumps(config[name])[:40]}" for name in unknown[:3])
        raise FormatError(
            f"{directory / CONFIG_FILE} has {shown}, by which the SAE computes something that saetui does not.",
            "SAEs and transcoders as sparsify 1.3.3 writes them can be read; an older one with signed latents cannot.",
        )
    path = directory / CONFIG_FILE
    d_in, k = whole_number(config, "d_in", path), whole_number(config, "k", path)
    latents = config.get("num_latents") or d_in * whole_number(config, "expansion_factor", path)
    transcodes, skips = config.get("transcode") is True, config.get("skip_connection") is True
    if skips and not transcodes:
        raise FormatError(
            f"{directory} is an SAE with a linear path past it, which copies its input.",
            "saetui cannot read such an SAE.",
        )
    shapes = {"encoder.weight": (latents, d_in), "encoder.bias": (latents,), "W_dec": (latents, d_in), "b_dec": (d_in,)}
    if skips:
        shapes["W_skip"] = (d_in, d_in)
    require_shapes(weights, shapes, directory / SPARSIFY_WEIGHTS)
    ours = {
        "W_enc": weights["encoder.weight"].t().contiguous(),
        "b_enc": weights["encoder.bias"],
        "W_dec": weights["W_dec"],
        "b_dec": weights["b_dec"],
    }
    if skips:
        ours["W_skip"] = weights["W_skip"].t().contiguous()
    architecture = "skip_transcoder" if skips else "transcoder" if transcodes else "topk"
    if k > latents:
        raise FormatError(f"k in {path} is {k} with {latents} latents.", AGAIN)
    options: dict[str, Option] = {"k": k, "decoder_norm": decoder_norm_of(ours)}
    sae: SparseAutoencoder = build(architecture, d_in, d_in, latents, torch.Generator(), **options)
    sae.load_state_dict(ours)
    # The folder of a hookpoint has its module's name; the layout says no more of the place.
    return LoadedSAE(sae, Normalization(), {"hf_hook_name": _hookpoint(folders_of(directory))}, "sparsify")


def _hookpoint(folders: tuple[str, ...]) -> str:
    """The folder's name; with several seeds of one hookpoint the SAE is in a folder `seedN` below."""
    name = folders[-1] if folders else ""
    return folders[-2] if name.startswith("seed") and name[4:].isdigit() and len(folders) > 1 else name
