"""SAELens itself: it loads our exports and computes the same, and its own training has the same gradients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saetui.sae import DeadSet, Normalization, SparseAutoencoder, export_saelens, load_saelens
from tests.peers.environment import run_saelens, saelens_python
from tests.sae.conftest import stirred
from tests.sae.reference import assert_close
from tests.sae.test_export import METADATA

pytestmark = pytest.mark.skipif(saelens_python() is None, reason="SAELens is not installed (make peers)")


def test_exports_load_and_agree(x: Tensor, generator: torch.Generator, tmp_path: Path) -> None:
    scaled = Normalization("constant_norm", 0.11)
    saes = {
        "standard": (stirred("standard", generator), Normalization()),
        "tied": (stirred("standard", generator, tie_weights=True), scaled),
        "topk": (stirred("topk", generator, k=6), Normalization()),
        "topk_scaled": (stirred("topk", generator, k=6), scaled),
    }
    raw = x / 0.11
    save_file({"x": raw}, tmp_path / "activations.safetensors")
    for name, (sae, normalization) in saes.items():
        export_saelens(tmp_path / name, sae, normalization, METADATA)
    run_saelens("saelens_load.py", tmp_path)
    results = load_file(tmp_path / "results.safetensors")
    facts = json.loads((tmp_path / "facts.json").read_text())
    for name, (sae, normalization) in saes.items():
        with torch.no_grad():
            units = normalization.normalise(raw)
            wanted = normalization.restore(sae(units), raw)
            assert_close(results[f"{name}.z"], sae.encode(units), f"{name}: z")
            assert_close(results[f"{name}.x_hat"], wanted, f"{name}: x_hat")
            assert_close(load_saelens(tmp_path / name).reconstruct(raw), wanted, f"{name}: ours, loaded")
        assert facts[name] == {
            "class": "StandardSAE" if sae.architecture == "standard" else "TopKSAE",
            "model_name": "gpt2",
            "model_class_name": "HookedTransformer",
            "model_from_pretrained_kwargs": {},
            "hook_name": "blocks.2.hook_resid_post",
            "hook_head_index": None,
            "context_size": 128,
            "prepend_bos": True,
            "dataset_path": "bundled:stdlib",
            "exclude_special_tokens": True,
            "seqpos_slice": [None],
        }


def test_our_gradients_are_those_of_their_training(x: Tensor, generator: torch.Generator, tmp_path: Path) -> None:
    """Theirs sums squares over coordinates: d × our loss, with d × l1_alpha as their coefficient.

    Their AuxK lacks the division by the residual's mean square, and the relu, which does nothing here.
    """
    standard = stirred("standard", generator, decoder_norm="free")
    l1 = standard.accumulate(x, sparsity_coefficient=0.02)
    topk = stirred("topk", generator, k=6)
    with torch.no_grad():
        # Every dead pre-activation positive, and none among the six largest.
        topk.W_enc[:, :20] *= 0.01
        topk.b_enc[:20] = 0.3
        assert float(topk.pre_activations(x)[:, :20].min()) > 0 and not topk.encode(x)[:, :20].any()
    auxk = topk.accumulate(x, dead=DeadSet(torch.arange(20), 20))
    coefficient = (1 / 32) / float(auxk.terms["recon"])
    nobody = torch.zeros(80)
    write_case(tmp_path / "standard", standard, x, nobody, architecture="standard", coefficient=0.02 * 24)
    first_twenty = (torch.arange(80) < 20).float()
    write_case(tmp_path / "topk", topk, x, first_twenty, architecture="topk", k=6, coefficient=coefficient)
    run_saelens("saelens_gradients.py", tmp_path)

    for name, sae, losses, theirs in (
        ("standard", standard, l1, {"recon": "mse_loss", "sparsity": "l1_loss"}),
        ("topk", topk, auxk, {"recon": "mse_loss", "aux": "auxiliary_reconstruction_loss"}),
    ):
        answer = load_file(tmp_path / name / "gradients.safetensors")
        for ours, their in theirs.items():
            assert float(losses.terms[ours]) > 0
            assert_close(losses.terms[ours] * 24, answer[f"loss.{their}"], f"{name}: {ours}")
        for parameter_name, parameter in sae.named_parameters():
            assert parameter.grad is not None
            wanted = answer[f"grad.{parameter_name}"]
            assert_close(parameter.grad * 24, wanted, f"{name}: gradient of {parameter_name}")


def write_case(directory: Path, sae: SparseAutoencoder, x: Tensor, dead: Tensor, **case: float | str) -> None:
    directory.mkdir()
    weights = {name: tensor.clone() for name, tensor in sae.state_dict().items()}
    save_file({**weights, "x": x, "dead": dead}, directory / "weights.safetensors")
    (directory / "case.json").write_text(json.dumps(case))
