"""The public SAEs that people have on disk: read with the value of their own formula, or named with the way out."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from saetui.errors import FormatError
from saetui.sae.formats.layouts import load_sae

D, F = 24, 40
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n"


@pytest.fixture
def weights(generator: torch.Generator) -> dict[str, Tensor]:
    """W_enc (D, F), W_dec (F, D), b_enc (F,), b_dec (D,), threshold (F,)."""

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    decoder = drawn(F, D)
    return {
        "W_enc": drawn(D, F), "W_dec": decoder / decoder.norm(dim=1, keepdim=True) * (0.5 + drawn(F, 1).abs()),
        "b_enc": drawn(F), "b_dec": drawn(D), "threshold": drawn(F).abs(),
    }  # fmt: skip


def jumprelu(h: Tensor, threshold: Tensor | float) -> Tensor:
    return h * (h > threshold) * (h > 0)


def gemma_scope(directory: Path, weights: dict[str, Tensor]) -> Path:
    directory.mkdir(parents=True)
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in weights.items()}
    np.savez(directory / "params.npz", **arrays)
    return directory


@pytest.mark.parametrize(
    ("repository", "model", "hook"),
    [
        ("gemma-scope-2b-pt-res", "google/gemma-2-2b", "hook_resid_post"),
        ("models--google--gemma-scope-9b-it-res", "google/gemma-2-9b-it", "hook_resid_post"),
        ("gemma-scope-2b-pt-mlp-canonical", "google/gemma-2-2b", "hook_mlp_out"),
        ("gemma-scope-2b-pt-att", "google/gemma-2-2b", "attn.hook_z"),
    ],
)
def test_gemma_scope_is_its_formula_and_its_path_says_of_what_it_is(
    repository: str, model: str, hook: str, weights: dict[str, Tensor], x: Tensor, tmp_path: Path
) -> None:
    loaded = load_sae(gemma_scope(tmp_path / repository / "layer_20" / "width_16k" / "average_l0_71", weights))
    z = jumprelu(x @ weights["W_enc"] + weights["b_enc"], weights["threshold"])
    assert torch.allclose(loaded.encode(x), z, atol=1e-4)
    assert torch.allclose(loaded.reconstruct(x), z @ weights["W_dec"] + weights["b_dec"], atol=1e-4)
    assert loaded.layout == "gemma_scope"
    assert loaded.metadata == {"model_name": model, "hook_name": f"blocks.20.{hook}"}


def test_gemma_scope_s_transcoders_read_the_norm_before_its_weight(
    weights: dict[str, Tensor], x: Tensor, tmp_path: Path
) -> None:
    loaded = load_sae(gemma_scope(tmp_path / "gemma-scope-2b-pt-transcoders" / "layer_3" / "width_16k", weights))
    z = jumprelu(x @ weights["W_enc"] + weights["b_enc"], weights["threshold"])
    assert torch.allclose(loaded.reconstruct(x), z @ weights["W_dec"] + weights["b_dec"], atol=1e-4)
    assert not loaded.sae.centres_input
    assert loaded.metadata["hook_name"] == "blocks.3.ln2.hook_normalized"
    assert loaded.metadata["hook_name_out"] == "blocks.3.hook_mlp_out"


def test_a_path_that_says_nothing_is_no_reason_to_refuse(weights: dict[str, Tensor], tmp_path: Path) -> None:
    assert load_sae(gemma_scope(tmp_path / "mine", weights)).metadata == {}


def gemma_scope_2(directory: Path, weights: dict[str, Tensor], **config: Any) -> Path:
    directory.mkdir(parents=True)
    small = {name.lower(): tensor.contiguous() for name, tensor in weights.items()}
    save_file(small, directory / "params.safetensors")
    facts = {"hf_hook_point_in": "model.layers.7.output", "model_name": "gemma-v3-270m-pt", "architecture": "jump_relu"}
    (directory / "config.json").write_text(json.dumps({**facts, "type": "sae", "affine_connection": False} | config))
    return directory


def test_gemma_scope_2_is_its_formula(weights: dict[str, Tensor], x: Tensor, tmp_path: Path) -> None:
    loaded = load_sae(gemma_scope_2(tmp_path / "sae", weights))
    z = jumprelu(x @ weights["W_enc"] + weights["b_enc"], weights["threshold"])
    assert torch.allclose(loaded.reconstruct(x), z @ weights["W_dec"] + weights["b_dec"], atol=1e-4)
    assert loaded.metadata == {"hf_hook_name": "model.layers.7.output", "model_name": "google/gemma-3-270m"}


def test_gemma_scope_2_s_transcoder_has_its_linear_path(
    weights: dict[str, Tensor], x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    linear = torch.randn(D, D, generator=generator)
    made = gemma_scope_2(
        tmp_path / "sae", {**weights, "affine_skip_connection": linear}, type="transcoder", affine_connection=True,
        hf_hook_point_out="model.layers.7.post_feedforward_layernorm.output",
    )  # fmt: skip
    loaded = load_sae(made)
    z = jumprelu(x @ weights["W_enc"] + weights["b_enc"], weights["threshold"])
    assert torch.allclose(loaded.reconstruct(x), z @ weights["W_dec"] + weights["b_dec"] + x @ linear, atol=1e-4)


def llama_scope(directory: Path, weights: dict[str, Tensor], **config: Any) -> Path:
    (directory / "checkpoints").mkdir(parents=True)
    tensors = {
        "encoder.weight": weights["W_enc"].t(), "encoder.bias": weights["b_enc"],
        "decoder.weight": weights["W_dec"].t(), "decoder.bias": weights["b_dec"],
    }  # fmt: skip
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, directory / "checkpoints/final.safetensors"
    )
    facts = {
        "act_fn": "jumprelu", "jump_relu_threshold": 0.4, "d_model": D, "d_sae": F, "norm_activation": "dataset-wise",
        "hook_point_in": "blocks.8.hook_resid_post", "hook_point_out": "blocks.8.hook_resid_post", "use_glu_encoder": False,
        "dataset_average_activation_norm": {"in": 9.0, "out": 9.0}, "apply_decoder_bias_to_pre_encoder": False,
        "sparsity_include_decoder_norm": True, "top_k": 50,
    }  # fmt: skip
    (directory / "hyperparams.json").write_text(json.dumps(facts | config))
    return directory


TRANSCODER = {
    "hook_point_in": "blocks.8.ln2.hook_normalized",
    "hook_point_out": "blocks.8.hook_mlp_out",
    "dataset_average_activation_norm": {"in": 5.0, "out": 2.0},
}


@pytest.mark.parametrize("config", [{}, {"sparsity_include_decoder_norm": False}, TRANSCODER, {"act_fn": "relu"}])
def test_llama_scope_is_its_formula(
    config: dict[str, Any], weights: dict[str, Tensor], x: Tensor, tmp_path: Path
) -> None:
    """As Language-Model-SAEs has it: its scales are put into the biases and the decoder, then it encodes raw activations."""
    loaded = load_sae(llama_scope(tmp_path / "Llama3_1-8B-Base-L8R-8x", weights, **config))
    norms = config.get("dataset_average_activation_norm", {"in": 9.0, "out": 9.0})
    s_in, s_out = (math.sqrt(D) / norms[end] for end in ("in", "out"))
    decoder = weights["W_dec"] * s_in / s_out
    h = x @ weights["W_enc"] + weights["b_enc"] / s_in
    scores = h * decoder.norm(dim=1) if config.get("sparsity_include_decoder_norm", True) else h
    z = h * (scores > (0.0 if config.get("act_fn") == "relu" else 0.4))
    assert torch.allclose(loaded.reconstruct(x), z @ decoder + weights["b_dec"] / s_out, atol=1e-4)
    assert torch.equal(loaded.encode(x) > 0, z > 0)
    assert loaded.metadata["model_name"] == "meta-llama/Llama-3.1-8B"
    assert loaded.sae.centres_input == (config is not TRANSCODER)


def test_llama_scope_that_subtracts_its_bias_is_its_formula(
    weights: dict[str, Tensor], x: Tensor, tmp_path: Path
) -> None:
    loaded = load_sae(llama_scope(tmp_path / "sae", weights, apply_decoder_bias_to_pre_encoder=True, act_fn="relu"))
    s = math.sqrt(D) / 9.0
    z = ((x * s - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]).relu()
    assert torch.allclose(loaded.reconstruct(x), (z @ weights["W_dec"] + weights["b_dec"]) / s, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"act_fn": "topk"}, "act_fn"),
        ({"norm_activation": "token-wise"}, "norm_activation"),
        ({"use_glu_encoder": True}, "use_glu_encoder"),
        ({"hook_point_in": None}, "hook_point_in"),
        ({"dataset_average_activation_norm": None}, "dataset_average_activation_norm"),
        ({"dataset_average_activation_norm": {"in": 0}}, "dataset_average_activation_norm"),
        ({"jump_relu_threshold": "high"}, "jump_relu_threshold"),
    ],
)
def test_what_llama_scope_s_fields_change_is_honoured_or_refused(
    config: dict[str, Any], words: str, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=words) as refused:
        load_sae(llama_scope(tmp_path / "sae", weights, **config))
    assert refused.value.suggestion


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "crosscoder"}, "crosscoder"),
        ({"architecture": "topk"}, "topk"),
        ({"affine_connection": True}, "affine_connection"),
    ],
)
def test_what_gemma_scope_2_s_fields_change_is_honoured_or_refused(
    config: dict[str, Any], words: str, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=words):
        load_sae(gemma_scope_2(tmp_path / "sae", weights, **config))


class _Runs:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (exec, ("raise SystemExit('code was run')",))


def broken_archives() -> dict[str, tuple[bytes, str]]:
    return {
        "half": (b"PK\x03\x04half", "damaged"),
        "pickle": (pickle.dumps(_Runs()), "damaged"),
        "nothing": (b"", "damaged"),
    }


@pytest.mark.parametrize("kind", broken_archives())
def test_a_broken_archive_is_damaged_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    content, words = broken_archives()[kind]
    (tmp_path / "params.npz").write_bytes(content)
    with pytest.raises(FormatError, match=words):
        load_sae(tmp_path)


def test_an_archive_of_objects_runs_nothing(weights: dict[str, Tensor], tmp_path: Path) -> None:
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in weights.items()}
    np.savez(tmp_path / "params.npz", **arrays | {"b_dec": np.array([_Runs()], dtype=object)})
    with pytest.raises(FormatError, match="damaged"):
        load_sae(tmp_path)
    np.savez(tmp_path / "params.npz", **arrays | {"more": arrays["b_dec"]})
    with pytest.raises(FormatError, match="holds more"):
        load_sae(tmp_path)
    np.savez(tmp_path / "params.npz", **arrays | {"threshold": arrays["threshold"][:5]})
    with pytest.raises(FormatError, match="threshold in"):
        load_sae(tmp_path)


def test_a_signed_sae_of_sparsify_is_not_read_as_another(weights: dict[str, Tensor], tmp_path: Path) -> None:
    tensors = {
        "encoder.weight": weights["W_enc"].t(), "encoder.bias": weights["b_enc"], "W_dec": weights["W_dec"],
        "b_dec": weights["b_dec"],
    }  # fmt: skip
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "sae.safetensors")
    config = {"expansion_factor": 1, "normalize_decoder": True, "num_latents": F, "k": 4, "d_in": D}
    (tmp_path / "cfg.json").write_text(json.dumps(config | {"signed": False}))
    assert load_sae(tmp_path).sae.latents == F
    (tmp_path / "cfg.json").write_text(json.dumps(config | {"signed": True}))
    with pytest.raises(FormatError, match="signed: true"):
        load_sae(tmp_path)


def sparsify_repository(directory: Path) -> Path:
    for layer in range(4):
        (directory / f"layers.{layer}").mkdir(parents=True)
        (directory / f"layers.{layer}" / "sae.safetensors").write_bytes(b"")
        (directory / f"layers.{layer}" / "cfg.json").write_text("{}")
    (directory / "config.json").write_text("{}")
    return directory


def holding(*names: str) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        directory.mkdir()
        for name in names:
            (directory / name).write_bytes(b"{}")
        return directory

    return make


def a_file(directory: Path) -> Path:
    directory.mkdir()
    (directory / "sae_weights.safetensors").write_bytes(b"")
    return directory / "sae_weights.safetensors"


def gemma_repository(directory: Path) -> Path:
    for layer in (3, 20):
        (directory / f"layer_{layer}" / "width_16k" / "average_l0_71").mkdir(parents=True)
        (directory / f"layer_{layer}" / "width_16k" / "average_l0_71" / "params.npz").write_bytes(b"")
    return directory


NAMED: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "circuit-tracer": (
        holding("layer_0.safetensors", "layer_1.safetensors", "config.yaml"),
        "circuit-tracer",
        "SAELens",
    ),
    "sparsify": (sparsify_repository, r"several: layers\.0, layers\.1, layers\.2 and 1 more", "layers.0"),
    "gemma scope": (gemma_repository, "several: layer_20/width_16k/average_l0_71", "layer_20"),
    "a file": (a_file, "is a file", "directory that holds it"),
    "a hub id": (lambda directory: directory, "is not a directory", "hf download"),
    "dictionary_learning": (holding("ae.pt", "config.json"), "a pickle", "safetensors"),
    "lm-saes": (holding("config.json", "sae_weights.safetensors"), "Language-Model-SAEs", "SAELens"),
    "a model": (holding("config.json", "model.safetensors"), "language model", "SAE"),
    "something": (holding("a.txt", "b.txt"), r"holds a\.txt, b\.txt", "Gemma Scope"),
    "nothing": (holding(), "is empty", "sparsify"),
    "half of one": (holding("cfg.json"), "sae_weights", "cfg.json"),
}


@pytest.mark.parametrize("what", NAMED)
def test_what_is_not_read_is_named_with_the_way_out(what: str, tmp_path: Path) -> None:
    make, words, way_out = NAMED[what]
    with pytest.raises(FormatError, match=words) as refused:
        load_sae(make(tmp_path / "it"))
    assert refused.value.suggestion is not None and way_out in refused.value.suggestion


@pytest.mark.parametrize(
    "files", [("params.npz",), ("cfg.json", "sae.safetensors"), ("cfg.json", "sae_weights.safetensors")]
)
def test_a_git_lfs_pointer_is_called_one(files: tuple[str, ...], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).write_text(LFS if name.endswith(("npz", "tensors")) else '{"architecture": "standard"}')
    if files[-1] == "sae.safetensors":
        (tmp_path / "cfg.json").write_text('{"d_in": 8, "k": 1, "num_latents": 8}')
    with pytest.raises(FormatError, match="Git LFS pointer") as refused:
        load_sae(tmp_path)
    assert "git lfs pull" in str(refused.value.suggestion)
