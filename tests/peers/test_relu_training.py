"""SAELens trains standard, jumprelu and gated with the same losses and gradients, after the change of units.

Theirs sums squares over coordinates and ours takes their mean: d × our loss is theirs, with d × our coefficients.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saetui.sae import DeadSet, GatedSAE, SparseAutoencoder, build
from saetui.sae.base import Path as Products
from tests.peers.environment import run_saelens, saelens_python
from tests.sae.reference import assert_close

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(saelens_python() is None, reason="SAELens is not installed (make peers)"),
]

D, LATENTS, ALPHA, PRE_ACTIVATION_ALPHA = 24, 80, 0.02, 0.05
DEAD = DeadSet(torch.arange(0, 80, 7), 12)


@dataclass(frozen=True)
class Case:
    """Our options, theirs, and what each term is called there."""

    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, str] = field(default_factory=lambda: {"sparsity": "l1_loss"})


def jumping(mode: str) -> Case:
    ours: dict[str, Any] = {"sparsity_mode": mode, "bandwidth": 0.5, "initial_threshold": 0.8, "l0_target": 9.0}
    theirs = {"jumprelu_sparsity_loss_mode": mode, "jumprelu_bandwidth": 0.5, "target_l0": 9.0}
    return Case(
        "jumprelu",
        {**ours, "pre_activation_alpha": PRE_ACTIVATION_ALPHA},
        {**theirs, "pre_act_loss_coefficient": PRE_ACTIVATION_ALPHA * D},
        {"sparsity": "l0_loss", "aux": "pre_act_loss"},
    )


CASES = {
    "standard": Case("standard"),
    "step": jumping("step"),
    "quadratic": jumping("quadratic"),
    "tanh": jumping("tanh"),
    "gated": Case("gated", terms={"sparsity": "l1_loss", "aux": "auxiliary_reconstruction_loss"}),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saelens")
    dead = torch.zeros(LATENTS)
    dead[DEAD.indices] = 1.0
    for name, case in CASES.items():
        directory = root / name
        directory.mkdir()
        save_file({**made(case).state_dict(), "x": batch(), "dead": dead}, directory / "weights.safetensors")
        question = {"architecture": case.architecture, "coefficient": ALPHA * D, "config": case.config}
        (directory / "case.json").write_text(json.dumps(question))
    run_saelens("saelens_relu_gradients.py", root)
    return root


def batch() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(96, D, generator=generator) + torch.randn(D, generator=generator)


def made(case: Case) -> SparseAutoencoder:
    """With free decoder norms, which theirs always are, and nothing left at its start."""
    generator = torch.Generator().manual_seed(2)
    sae = build(case.architecture, D, D, LATENTS, generator, decoder_norm="free", **case.options)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    sae.after_step()
    return sae


@pytest.mark.parametrize("path", ["dense", "sparse"])
@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_are_theirs(name: str, path: Products, answers: Path) -> None:
    case, x = CASES[name], batch()
    sae, theirs = made(case), load_file(answers / name / "gradients.safetensors")
    losses = sae.loss(x, sparsity_coefficient=ALPHA, dead=DEAD, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if isinstance(sae, GatedSAE):
        train_the_decoder_by_the_gate_as_they_do(sae, x)
    for term, their_name in {"recon": "mse_loss", **case.terms}.items():
        assert float(losses.terms[term].detach()) > 0
        assert_close(losses.terms[term] * D, theirs[f"loss.{their_name}"], f"{name}: {term}")
    for parameter_name, parameter in sae.named_parameters():
        assert parameter.grad is not None
        assert_close(parameter.grad * D, theirs[f"grad.{parameter_name}"], f"{name}: gradient of {parameter_name}")


def train_the_decoder_by_the_gate_as_they_do(sae: GatedSAE, x: Tensor) -> None:
    """The one difference that is meant: in what the gate is judged by, ours, as the paper, detaches the decoder.

    That is W_dec and b_dec in the gate's reconstruction, and n_i in its penalty.
    """
    gate = sae.pre_activations(x).relu().detach()
    reconstruction = (gate @ sae.W_dec + sae.b_dec - x).square().mean()
    penalty = ALPHA * (gate * sae.W_dec.norm(dim=1)).sum(1).mean()
    (reconstruction + penalty).backward()
