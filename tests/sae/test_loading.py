"""Foreign and damaged directories are refused with one clear reason; foreign conventions are understood."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saetui.errors import FormatError
from saetui.sae import Normalization, build, export_saelens, load_saelens
from tests.sae.conftest import stirred
from tests.sae.test_export import METADATA


@pytest.fixture
def exported(generator: torch.Generator, tmp_path: Path) -> Path:
    export_saelens(tmp_path / "sae", stirred("topk", generator, k=6), Normalization(), METADATA)
    return tmp_path / "sae"


def change_config(directory: Path, **changes: Any) -> None:
    """As another tool would have written it: without our checksums."""
    config = json.loads((directory / "cfg.json").read_text())
    config["metadata"]["saetui"].pop("checksums", None)
    (directory / "cfg.json").write_text(json.dumps(config | changes))


def change_weights(directory: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    change_config(directory)
    path = directory / "sae_weights.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def cut(directory: Path, name: str) -> None:
    path = directory / name
    path.write_bytes(path.read_bytes()[:-100])


def replace_by(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (lambda d: (d / "cfg.json").unlink(), "cannot be read"),
    (lambda d: (d / "sae_weights.safetensors").unlink(), "cannot be read"),
    (lambda d: cut(d, "cfg.json"), "is not JSON"),
    (lambda d: cut(d, "sae_weights.safetensors"), "is damaged"),
    (lambda d: (d / "cfg.json").write_text("[" * 100_000), "is not JSON"),
    (lambda d: (d / "cfg.json").write_bytes(b"\xff\xfe\x00"), "is not JSON"),
    (lambda d: (d / "cfg.json").write_text("[1]"), "not a JSON object"),
    (lambda d: (d / "cfg.json").write_text(" " * (1 << 20) + "{}"), "larger than"),
    (lambda d: change_config(d, architecture="temporal"), "'temporal'"),
    (lambda d: change_config(d, architecture=["topk"]), "architecture"),
    (lambda d: change_config(d, architecture="gated"), "has no b_gate"),
    (lambda d: change_config(d, architecture="transcoder", d_out=24), "subtracts b_dec"),
    (lambda d: change_config(d, d_sae=81), "its configuration gives"),
    (lambda d: change_config(d, d_in=True), "d_in in"),
    (lambda d: change_config(d, k=None), "k in"),
    (lambda d: change_config(d, k=81), "k in"),
    (lambda d: change_config(d, k=float("nan")), "is not JSON"),
    (lambda d: change_config(d, normalize_activations="constant_norm_rescale"), "constant_norm_rescale"),
    (lambda d: change_config(d, normalize_activations="expected_average_only_in"), "is not there"),
    (lambda d: change_config(d, reshape_activations="hook_z"), "hook_z"),
    (lambda d: change_config(d, hook_head_index=3), "hook_head_index: 3"),
    (lambda d: change_config(d, activation_fn="tanh-relu"), "tanh-relu"),
    (lambda d: change_config(d, normalize_activations="covariance_whitening"), "covariance_whitening"),
    (lambda d: change_config(d, format="saetui", metadata={}), "does not say how the SAE was made"),
    (lambda d: change_weights(d, lambda w: w.pop("b_dec")), "has no b_dec"),
    (lambda d: change_weights(d, lambda w: w["W_enc"].fill_(torch.inf)), "not finite"),
    (lambda d: change_weights(d, lambda w: w.update(W_enc=w["W_enc"].long())), "of type"),
    (lambda d: change_weights(d, lambda w: w.update(W_skip=torch.zeros(24, 24))), "holds W_skip"),
    (lambda d: change_weights(d, lambda w: w.update(scaling_factor=torch.full((80,), 2.0))), "finetuning"),
    (lambda d: replace_by(d / "cfg.json", os.mkfifo), "not a plain file"),
    (lambda d: replace_by(d / "sae_weights.safetensors", Path.mkdir), "not a plain file"),
    (lambda d: replace_by(d / "cfg.json", lambda path: path.symlink_to("/dev/zero")), "not a plain file"),
    (lambda d: replace_by(d / "cfg.json", lambda path: path.symlink_to("/etc/passwd")), "is not JSON"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
def test_damage_is_named_with_a_way_out(damage: Callable[[Path], object], words: str, exported: Path) -> None:
    damage(exported)
    with pytest.raises(FormatError, match=words) as refused:
        load_saelens(exported)
    assert refused.value.suggestion


def test_a_directory_that_is_not_there_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"cfg\.json and sae_weights\.safetensors"):
        load_saelens(tmp_path / "nowhere")


def test_selection_by_decoder_norm_is_folded_into_the_encoder(
    exported: Path, x: Tensor, generator: torch.Generator
) -> None:
    norms = 0.2 + torch.rand(80, generator=generator)

    def scale(weights: dict[str, Tensor]) -> None:
        weights["W_dec"] *= norms[:, None]

    change_weights(exported, scale)
    change_config(exported, rescale_acts_by_decoder_norm=True)
    weights = load_file(exported / "sae_weights.safetensors")
    h = ((x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]) * norms
    values, indices = h.topk(6, dim=1)
    z = torch.zeros_like(h).scatter(1, indices, values.relu())
    loaded = load_saelens(exported)
    assert torch.allclose(loaded.encode(x), z, atol=1e-5)
    assert torch.allclose(loaded.reconstruct(x), z / norms @ weights["W_dec"] + weights["b_dec"], atol=1e-5)


def test_an_encoder_that_subtracts_no_b_dec_is_understood(exported: Path, x: Tensor) -> None:
    change_config(exported, apply_b_dec_to_input=False)
    weights = load_file(exported / "sae_weights.safetensors")
    h = x @ weights["W_enc"] + weights["b_enc"]
    assert torch.allclose(load_saelens(exported).encode(x).amax(1), h.relu().amax(1), atol=1e-5)


def test_a_gated_encoder_that_subtracts_no_b_dec_is_understood(
    x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    export_saelens(tmp_path / "sae", stirred("gated", generator), Normalization(), METADATA)
    change_config(tmp_path / "sae", apply_b_dec_to_input=False)
    w = load_file(tmp_path / "sae" / "sae_weights.safetensors")
    a = x @ w["W_enc"]
    z = (a + w["b_gate"] > 0) * (a * w["r_mag"].exp() + w["b_mag"]).relu()
    assert torch.allclose(load_saelens(tmp_path / "sae").encode(x), z, atol=1e-5)


def test_rescaled_latents_of_a_gated_sae_are_refused(generator: torch.Generator, tmp_path: Path) -> None:
    export_saelens(tmp_path / "sae", stirred("gated", generator), Normalization(), METADATA)
    change_config(tmp_path / "sae", rescale_acts_by_decoder_norm=True)
    with pytest.raises(FormatError, match="rescales the latents of a gated"):
        load_saelens(tmp_path / "sae")


def test_a_scale_beside_a_checkpoint_is_folded_in(exported: Path, x: Tensor) -> None:
    wanted = load_saelens(exported).reconstruct(x * 0.25) / 0.25
    change_config(exported, normalize_activations="expected_average_only_in")
    (exported / "activation_scaler.json").write_text('{"scaling_factor": 0.25}')
    assert torch.allclose(load_saelens(exported).reconstruct(x), wanted, rtol=1e-4, atol=1e-4)
    (exported / "activation_scaler.json").write_text('{"scaling_factor": null}')
    with pytest.raises(FormatError, match="not sound"):
        load_saelens(exported)


def test_a_threshold_of_rescaled_latents_is_in_the_units_of_the_scaled_training(
    x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    """SAELens's checkpoint of a batchtopk on scaled activations (its fold_activation_norm_scaling_factor, #763)."""
    directory = tmp_path / "sae"
    export_saelens(directory, stirred("jumprelu", generator), Normalization(), METADATA)
    norms = 0.5 + torch.rand(80, generator=generator)

    def change(weights: dict[str, Tensor]) -> None:
        weights["W_dec"] *= norms[:, None]
        del weights["threshold"]
        weights["topk_threshold"] = torch.tensor(0.4)

    change_weights(directory, change)
    change_config(
        directory,
        architecture="batchtopk",
        normalize_activations="expected_average_only_in",
        rescale_acts_by_decoder_norm=True,
    )
    (directory / "activation_scaler.json").write_text('{"scaling_factor": 0.25}')
    w = load_file(directory / "sae_weights.safetensors")
    n = w["W_dec"].norm(dim=1)
    h = ((0.25 * x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * n
    z = h * (h > 0.4)
    assert 0.02 < float((z > 0).float().mean()) < 0.98
    wanted = (z / n @ w["W_dec"] + w["b_dec"]) / 0.25
    assert torch.allclose(load_saelens(directory).reconstruct(x), wanted, rtol=1e-4, atol=1e-4)


def test_a_configuration_older_than_version_6_is_understood(exported: Path, x: Tensor) -> None:
    wanted = load_saelens(exported).reconstruct(x)
    old = {
        "d_in": 24,
        "d_sae": 80,
        "dtype": "torch.float32",
        "model_name": "gpt2-small",
        "hook_point": "blocks.8.hook_resid_pre",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 6},
        "normalize_activations": False,
    }
    (exported / "cfg.json").write_text(json.dumps(old))
    loaded = load_saelens(exported)
    assert torch.equal(loaded.reconstruct(x), wanted)
    assert loaded.metadata["model_name"] == "gpt2-small"
    assert loaded.metadata["hook_name"] == "blocks.8.hook_resid_pre"


def test_a_threshold_below_0_does_nothing(x: Tensor, generator: torch.Generator, tmp_path: Path) -> None:
    export_saelens(tmp_path / "sae", stirred("jumprelu", generator), Normalization(), METADATA)
    change_weights(tmp_path / "sae", lambda w: w["threshold"].fill_(-1.0))
    loaded = load_saelens(tmp_path / "sae")
    assert torch.equal(loaded.encode(x), loaded.sae.pre_activations(x).relu())


@pytest.mark.parametrize("skips", [False, True])
def test_transcoders_with_thresholds_are_read(
    skips: bool, x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    export_saelens(tmp_path / "sae", stirred("jumprelu", generator), Normalization(), METADATA)
    skip, out = torch.randn(16, 24, generator=generator), torch.randn(80, 16, generator=generator)
    added = {"W_dec": out, "b_dec": torch.ones(16)} | ({"W_skip": skip} if skips else {})
    change_weights(tmp_path / "sae", lambda w: w.update(added))
    name = "jumprelu_skip_transcoder" if skips else "jumprelu_transcoder"
    change_config(tmp_path / "sae", architecture=name, d_out=16, apply_b_dec_to_input=False)
    loaded = load_saelens(tmp_path / "sae")
    w = load_file(tmp_path / "sae" / "sae_weights.safetensors")
    h = x @ w["W_enc"] + w["b_enc"]
    wanted = h * (h > w["threshold"]) @ out + 1.0 + (x @ skip.t() if skips else 0.0)
    assert torch.allclose(loaded.reconstruct(x), wanted, atol=1e-4)
    target = torch.randn(96, 16, generator=generator)
    error = float(loaded.sae.measure(x, target).statistics.squared_error)
    assert error == pytest.approx(float((wanted - target).square().sum()), rel=1e-4)


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
def test_a_file_cut_at_any_byte_or_with_a_flipped_bit_is_refused_or_sound(
    name: str, generator: torch.Generator, tmp_path: Path
) -> None:
    sae = build("topk", 3, 3, 5, generator, k=2)
    export_saelens(tmp_path / "sae", sae, Normalization(), METADATA)
    path = tmp_path / "sae" / name
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load_saelens(tmp_path / "sae")
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(bytes(flipped))
        try:
            loaded = load_saelens(tmp_path / "sae")
        except FormatError as refused:
            assert refused.suggestion
        else:
            assert all(bool(torch.isfinite(tensor).all()) for tensor in loaded.sae.state_dict().values())
