"""Who runs an export as its metadata say reads, in SAELens, the tensor that it was trained on, or is refused; never another.
And what foreign metadata say of a model is, in TransformerLens, the tensor that saetui makes of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPTNeoXConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from saetui.activations import ActivationExtractor, HookPoint, LanguageModel, Site, open_model
from saetui.bundled import TINY
from saetui.sae import ExportMetadata, LoadedSAE, Normalization, build, export_saelens, load_sae
from saetui.training.placement import place
from tests.peers.environment import peer_python, run_peer

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS: dict[str, Callable[[int], PretrainedConfig]] = {
    # LayerNorm, the attention beside the MLP; and RMSNorm, one behind the other.
    "EleutherAI/pythia-14m": lambda words: GPTNeoXConfig(vocab_size=words, max_position_embeddings=32, **SIZES),
    "Qwen/Qwen2-0.5B": lambda words: Qwen2Config(vocab_size=words, num_key_value_heads=2, **SIZES),
}
TOKENS = torch.arange(5, 29).reshape(2, 12)
SITES = [Site(1, point) for point in HookPoint]
MLP_IN, MLP_OUT = Site(1, HookPoint.MLP_IN), Site(1, HookPoint.MLP_OUT)
ATTACHING = ("HookedSAETransformer", "no_processing", "Bridge")
"""The classes that SAEs are attached to. The first folds and centres unless the metadata keep it from that."""
FOREIGN: list[tuple[dict[str, bool], list[str]]] = [
    ({}, ["ln2.hook_normalized"]),
    ({"fold_ln": True}, ["mlp.hook_in", "ln2.hook_normalized", "hook_resid_post", "hook_mlp_out", "hook_attn_out"]),
    (
        {"center_writing_weights": True, "fold_value_biases": True, "center_unembed": True},
        ["hook_resid_pre", "hook_resid_post", "hook_mlp_out", "hook_attn_out", "mlp.hook_in"],
    ),
]


def random_model(directory: Path, name: str) -> LanguageModel:
    """A small model whose norms have weights and biases that are no ones and zeros."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    network: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        CONFIGS[name](len(tokenizer))
    )
    module: nn.Module = network
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    network.save_pretrained(directory / name)
    tokenizer.save_pretrained(directory / name)
    return open_model(str(directory / name), device="cpu")


def metadata_of(model: LanguageModel, site: Site, target: Site | None = None) -> ExportMetadata:
    return ExportMetadata(
        model.reference, site.transformer_lens_name, model.locate(site).tensor_name, site.layer, 32, "bundled:stdlib", True,
        hook_name_out=None if target is None else target.transformer_lens_name,
    )  # fmt: skip


def export(directory: Path, model: LanguageModel, architecture: str, raw: Mapping[str, Tensor]) -> LoadedSAE:
    """An SAE of what enters the MLP, or a transcoder, of random weights and a bias of the size of its target."""
    target = MLP_OUT if architecture == "transcoder" else None
    sae = build(architecture, 32, 32, 64, torch.Generator().manual_seed(1), k=6)
    sae.initialise_bias(raw[(target or MLP_IN).name].reshape(-1, 32))
    units = Normalization("constant_norm", 0.5)
    export_saelens(directory, sae, units, metadata_of(model, MLP_IN, target), target=units)
    return load_sae(directory)


def off(found: Tensor, wanted: Tensor) -> float:
    return float((found.reshape(-1, 32) - wanted.reshape(-1, 32)).norm() / wanted.norm())


@pytest.mark.skipif(peer_python("saelens") is None, reason="SAELens is not installed (make saelens)")
def test_saelens_and_saetui_mean_the_same_tensors(tmp_path: Path) -> None:
    requests: list[dict[str, Any]] = []
    wanted: dict[str, Tensor] = {}
    lacking: set[str] = set()

    def ask(model: str, kind: str, kwargs: object, hooks: Mapping[str, Tensor], sae: str | None = None) -> int:
        number = len(requests)
        asked = [hook for hook in hooks if hook != "sae"]
        requests.append({"model": model, "kind": kind, "kwargs": kwargs, "hooks": asked, "sae": sae})
        wanted.update({f"{number} {hook}": tensor for hook, tensor in hooks.items()})
        return number

    for name in CONFIGS:
        model = random_model(tmp_path / "models", name)
        raw = ActivationExtractor(model, SITES)(TOKENS).values
        described = {site: metadata_of(model, site) for site in SITES}
        (kwargs,) = {json.dumps(kwargs_of(metadata)) for metadata in described.values()}
        by_hook = {metadata.hook_name: raw[site.name] for site, metadata in described.items()}
        by_module = {metadata.hf_hook_name: raw[site.name] for site, metadata in described.items()}
        for kind in ATTACHING:
            ask(name, kind, json.loads(kwargs), by_hook)
        plain = ask(name, "HookedTransformer", json.loads(kwargs), by_hook)
        lacking.add(f"{plain} {MLP_IN.transformer_lens_name}")
        modules = ask(name, "AutoModelForCausalLM", {}, by_module)
        lacking |= {f"{modules} {hook}" for hook in by_module if hook.endswith(".input")}
        for architecture in ("topk", "transcoder"):
            folder = f"{architecture}-{len(requests)}"
            loaded = export(tmp_path / folder, model, architecture, raw)
            with torch.no_grad():
                given = loaded.reconstruct(raw[MLP_IN.name].reshape(-1, 32))
            for kind in ATTACHING:
                ask(name, kind, json.loads(kwargs), {"sae": given}, folder)
        for changed, hooks in FOREIGN:
            views = {f"blocks.1.{hook}": as_taken(model, changed, f"blocks.1.{hook}", raw) for hook in hooks}
            ask(name, "no_processing", changed, views)

    (tmp_path / "requests.json").write_text(json.dumps(requests))
    save_file({"tokens": TOKENS}, tmp_path / "tokens.safetensors")
    run_peer("saelens", "saelens_hooks.py", tmp_path)

    found = load_file(tmp_path / "answers.safetensors")
    for key, tensor in found.items():
        what = f"{key}: {requests[int(key.split()[0])]}"
        assert off(tensor, wanted[key]) <= 1e-5, what
    assert wanted.keys() - found.keys() == lacking


def kwargs_of(metadata: ExportMetadata) -> object:
    sae = build("topk", 32, 32, 64, torch.Generator(), k=4)
    return metadata.as_json(sae, Normalization(), Normalization())["model_from_pretrained_kwargs"]


def as_taken(model: LanguageModel, changed: Mapping[str, bool], hook: str, raw: Mapping[str, Tensor]) -> Tensor:
    """What saetui gives an SAE of these metadata to read."""
    sae = build("topk", 32, 32, 64, torch.Generator(), k=4)
    loaded = LoadedSAE(sae, Normalization(), {"hook_name": hook, "model_from_pretrained_kwargs": dict(changed)})
    placed = place(loaded, Path(), None, None, model)
    return placed.source.take(raw[placed.site.name].reshape(-1, 32))
