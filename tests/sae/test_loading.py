"""Foreign and damaged directories are refused with one clear reason; foreign conventions are understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saetui.errors import FormatError
from saetui.sae import Normalization, export_saelens, load_saelens
from tests.sae.conftest import stirred
from tests.sae.test_export import METADATA


@pytest.fixture
def exported(generator: torch.Generator, tmp_path: Path) -> Path:
    export_saelens(tmp_path / "sae", stirred("topk", generator, k=6), Normalization(), METADATA)
    return tmp_path / "sae"


def change_config(directory: Path, **changes: Any) -> None:
    config = json.loads((directory / "cfg.json").read_text())
    (directory / "cfg.json").write_text(json.dumps(config | changes))


def change_weights(directory: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    path = directory / "sae_weights.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def cut(directory: Path, name: str) -> None:
    path = directory / name
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (lambda d: (d / "cfg.json").unlink(), "cannot be read"),
    (lambda d: (d / "sae_weights.safetensors").unlink(), "cannot be read"),
    (lambda d: cut(d, "cfg.json"), "is not JSON"),
    (lambda d: cut(d, "sae_weights.safetensors"), "is damaged"),
    (lambda d: (d / "cfg.json").write_text("[" * 100_000), "is not JSON"),
    (lambda d: (d / "cfg.json").write_bytes(b"\xff\xfe\x00"), "is not JSON"),
    (lambda d: (d / "cfg.json").write_text("[1]"), "not a JSON object"),
    (lambda d: (d / "cfg.json").write_text(" " * (1 << 20) + "{}"), "larger than"),
    (lambda d: change_config(d, architecture="gated"), "'gated'"),
    (lambda d: change_config(d, d_sae=81), "cfg.json says"),
    (lambda d: change_config(d, d_in=True), "d_in in"),
    (lambda d: change_config(d, k=None), "k in"),
    (lambda d: change_config(d, k=81), "k in"),
    (lambda d: change_config(d, normalize_activations="expected_average_only_in"), "expected_average"),
    (lambda d: change_weights(d, lambda w: w.pop("b_dec")), "has no b_dec"),
    (lambda d: change_weights(d, lambda w: w["W_enc"].fill_(torch.inf)), "not finite"),
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
