"""Who runs an export as its metadata say reads, in SAELens, the tensor that it was trained on, or is refused; never another."""

from __future__ import annotations

import json
from collections.abc import Callable
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

from saetui.activations import ActivationExtractor, HookPoint, Site, open_model
from saetui.bundled import TINY
from saetui.sae import ExportMetadata, Normalization, build
from tests.peers.environment import peer_python, run_peer

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS: dict[str, Callable[[int], PretrainedConfig]] = {
    # LayerNorm, the attention beside the MLP; and RMSNorm, one behind the other.
    "EleutherAI/pythia-14m": lambda words: GPTNeoXConfig(vocab_size=words, max_position_embeddings=32, **SIZES),
    "Qwen/Qwen2-0.5B": lambda words: Qwen2Config(vocab_size=words, num_key_value_heads=2, **SIZES),
}
TOKENS = torch.arange(5, 29).reshape(2, 12)


def random_model(directory: Path, name: str) -> None:
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


def metadata_of(site: Site, hf_hook_name: str) -> dict[str, object]:
    made = ExportMetadata("model", site.transformer_lens_name, hf_hook_name, site.layer, 32, "bundled:stdlib", True)
    sae = build("topk", 32, 32, 64, torch.Generator(), k=4)
    return dict(made.as_json(sae, Normalization(), Normalization()))


@pytest.mark.skipif(peer_python("saelens") is None, reason="SAELens is not installed (make saelens)")
def test_the_hooks_that_exports_name_hold_what_was_trained_on(tmp_path: Path) -> None:
    wanted: dict[str, Tensor] = {}
    cases: dict[str, list[dict[str, object]]] = {name: [] for name in CONFIGS}
    sites = [Site(1, point) for point in HookPoint]
    for name in CONFIGS:
        random_model(tmp_path / "models", name)
        model = open_model(str(tmp_path / "models" / name), device="cpu")
        read = ActivationExtractor(model, sites)(TOKENS)
        for site in sites:
            cases[name].append(metadata_of(site, model.locate(site).tensor_name))
            wanted[f"{name} {site.transformer_lens_name}"] = read.values[site.name]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    save_file({"tokens": TOKENS}, tmp_path / "tokens.safetensors")
    run_peer("saelens", "saelens_hooks.py", tmp_path)

    found, refused = load_file(tmp_path / "hooks.safetensors"), json.loads((tmp_path / "refused.json").read_text())
    for key, tensor in found.items():
        expected = wanted[key.rsplit(" ", 1)[0]]
        assert float((tensor - expected).norm() / expected.norm()) <= 1e-5, key
    # Everything can be read where SAEs are attached; a class without the hook says so.
    classes = ("HookedSAETransformer", "no_processing", "Bridge")
    assert {f"{key} {kind}" for key in wanted for kind in classes} <= set(found)
    lacking = {f"{name} blocks.1.mlp.hook_in HookedTransformer" for name in CONFIGS}
    lacking |= {f"{key} AutoModelForCausalLM" for key in wanted if key.endswith(("mlp.hook_in", "hook_resid_pre"))}
    assert set(refused) == lacking
