"""SAEs come in whole, private and looked through, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from saetui.errors import Conflict, FormatError
from saetui.sae import ExportMetadata, Normalization, build, export_saelens, load_saelens
from saetui.training.tasks.convert import import_sae

METADATA = ExportMetadata("gpt2", "blocks.2.hook_resid_post", "transformer.h.2", 2, 128, "bundled:stdlib", True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    sae = build("topk", 8, 8, 16, torch.Generator().manual_seed(0), k=2)
    export_saelens(tmp_path / "theirs", sae, Normalization(), METADATA)
    return tmp_path / "theirs"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "imported").mkdir(mode=0o700)
    return tmp_path / "imported"


def test_an_import_says_what_it_is_and_is_private(source: Path, into: Path) -> None:
    found = import_sae(source, into, "mine")
    assert found == {
        "name": "mine",
        "directory": str(into / "mine"),
        "layout": "saelens",
        "architecture": "topk",
        "d_in": 8,
        "d_out": 8,
        "latents": 16,
        "model": "gpt2",
        "hook_name": "blocks.2.hook_resid_post",
    }
    assert [entry.name for entry in into.iterdir()] == ["mine"]
    assert (into / "mine").stat().st_mode & 0o777 == 0o700
    assert {entry.name: entry.stat().st_mode & 0o777 for entry in (into / "mine").iterdir()} == {
        "cfg.json": 0o600,
        "origin.json": 0o600,
        "sae_weights.safetensors": 0o600,
    }


def test_only_the_files_of_an_sae_come_in_and_no_links(source: Path, into: Path) -> None:
    (source / "run_me.py").write_text("print('no')")
    weights = source / "sae_weights.safetensors"
    elsewhere = source.with_name("weights")
    weights.rename(elsewhere)
    weights.symlink_to(elsewhere)
    import_sae(source, into, "mine")
    names = sorted(entry.name for entry in (into / "mine").iterdir())
    assert names == ["cfg.json", "origin.json", "sae_weights.safetensors"]
    assert not any(entry.is_symlink() for entry in (into / "mine").iterdir())
    elsewhere.unlink()
    assert load_saelens(into / "mine").sae.latents == 16


def test_what_is_no_sae_leaves_nothing_behind(source: Path, into: Path) -> None:
    weights = source / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(FormatError, match="damaged"):
        import_sae(source, into, "mine")
    with pytest.raises(FormatError, match="not a directory"):
        import_sae(source / "nowhere", into, "mine")
    assert not list(into.iterdir())


def test_nothing_is_overwritten(source: Path, into: Path) -> None:
    import_sae(source, into, "mine")
    with pytest.raises(Conflict, match="mine"):
        import_sae(source, into, "mine")
    assert [entry.name for entry in into.iterdir()] == ["mine"]


def test_an_import_keeps_what_only_the_path_says(into: Path, tmp_path: Path) -> None:
    """Gemma Scope and Llama Scope say the model by their folders, and lie in folders of their own."""
    gemma = tmp_path / "gemma-scope-2b-pt-res" / "layer_20" / "width_16k" / "average_l0_71"
    gemma.mkdir(parents=True)
    arrays: dict[str, Any] = {
        "W_enc": np.eye(8),
        "W_dec": np.eye(8),
        "b_enc": np.zeros(8),
        "b_dec": np.zeros(8),
        "threshold": np.ones(8),
    }
    np.savez(gemma / "params.npz", **arrays)
    llama = tmp_path / "Llama3_1-8B-Base-L15R-8x"
    (llama / "checkpoints").mkdir(parents=True)
    eye, zeros = torch.eye(8), torch.zeros(8)
    tensors = {
        "encoder.weight": eye,
        "encoder.bias": zeros,
        "decoder.weight": eye.clone(),
        "decoder.bias": zeros.clone(),
    }
    save_file(tensors, llama / "checkpoints" / "final.safetensors")
    (llama / "hyperparams.json").write_text('{"act_fn": "relu", "hook_point_in": "blocks.15.hook_resid_post"}')
    expected = {gemma: ("google/gemma-2-2b", 20), llama: ("meta-llama/Llama-3.1-8B", 15)}
    for number, (source, (model, layer)) in enumerate(expected.items()):
        found = import_sae(source, into, f"mine{number}")
        assert (found["model"], found["hook_name"]) == (model, f"blocks.{layer}.hook_resid_post")
        # Brought in once more, from where it lies now.
        again = import_sae(into / f"mine{number}", into, f"again{number}")
        assert (again["model"], again["hook_name"]) == (found["model"], found["hook_name"])
    assert (into / "mine1" / "checkpoints").stat().st_mode & 0o777 == 0o700
