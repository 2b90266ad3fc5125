"""SAELens itself: its own training has the same gradients. (That it loads our exports: tests/peers/test_exports.py.)"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saetui.sae import DeadSet, Losses, SparseAutoencoder
from saetui.training.gradient_step import accumulate
from tests.peers.environment import run_saelens, saelens_python
from tests.sae.conftest import stirred
from tests.sae.reference import assert_close

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(saelens_python() is None, reason="SAELens is not installed (make peers)"),
]

D = 24
DEAD = DeadSet(torch.arange(20), 20)
NOBODY = torch.zeros(80)
FIRST_TWENTY = (torch.arange(80) < 20).float()


def test_gradients_of_standard_are_those_of_their_training(
    x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    """Theirs sums squares over coordinates: d × our loss, with d × l1_alpha as their coefficient."""
    sae = stirred("standard", generator, decoder_norm="free")
    losses = accumulate(sae, x, sparsity_coefficient=0.02)
    coefficient = 0.02 * D
    write_case(
        tmp_path / "standard",
        sae.state_dict(),
        x,
        NOBODY,
        architecture="standard",
        config={"l1_coefficient": coefficient},
        coefficients={"l1": coefficient},
    )
    run_saelens("saelens_gradients.py", tmp_path)
    compare(tmp_path / "standard", sae, losses, {"recon": "mse_loss", "sparsity": "l1_loss"}, D)


def test_gradients_of_the_topk_family_are_those_of_their_training(
    x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    """Theirs sums squares over coordinates: d × our loss; and matryoshka's over its prefixes too: m·d × ours.

    Meant differences, switched to their way here: their AuxK lacks the division by the residual's mean square (their
    coefficient makes it up), and the relu (which does nothing where all dead pre-activations are positive).
    """
    widths = [8, 30, 80]
    family: dict[str, tuple[SparseAutoencoder, dict[str, object]]] = {
        "topk": (stirred("topk", generator, k=6), {}),
        "batchtopk": (stirred("batch_topk", generator, k=6), {}),
        "matryoshka_batchtopk": (stirred("matryoshka", generator, k=6, widths=widths), {"matryoshka_widths": widths}),
    }
    done: dict[str, tuple[SparseAutoencoder, Losses, int]] = {}
    for name, (sae, config) in family.items():
        with_living_dead(sae, x)
        state = {key: value.clone() for key, value in sae.state_dict().items()}
        if "threshold" in state:
            # Theirs starts its average at 0, ours at the first batch: compared in the middle of a run.
            sae.get_buffer("threshold_batches").fill_(1000)
            del state["threshold_batches"]
            state["topk_threshold"] = state.pop("threshold").fill_(1.5).double()
            sae.get_buffer("threshold").fill_(1.5)
        losses = accumulate(sae, x, dead=DEAD)
        levels = len(widths) if config else 1
        mean_square = float(losses.statistics.squared_error) / x.numel()
        auxiliary = {"k": 6, "aux_loss_coefficient": levels / 32 / mean_square}
        write_case(tmp_path / name, state, x, FIRST_TWENTY, architecture=name, config={**config, **auxiliary})
        done[name] = sae, losses, levels
    run_saelens("saelens_gradients.py", tmp_path)

    for name, (sae, losses, levels) in done.items():
        terms = {"recon": "mse_loss", "aux": "auxiliary_reconstruction_loss"}
        answer = compare(tmp_path / name, sae, losses, terms, levels * D)
        if name != "topk":
            assert_close(sae.get_buffer("threshold"), answer["buffer.topk_threshold"][0], f"{name}: threshold")
            assert float(sae.get_buffer("threshold")) != 1.5


def with_living_dead(sae: SparseAutoencoder, x: Tensor) -> None:
    """Makes every pre-activation of the first twenty latents positive, and so small that none is kept."""
    with torch.no_grad():
        sae.W_enc[:, :20] *= 0.01
        sae.b_enc[:20] = 0.3
        assert float(sae.pre_activations(x)[:, :20].min()) > 0
        assert not sae.loss(x).statistics.fired[:20].any()


def write_case(
    directory: Path,
    state: Mapping[str, Tensor],
    x: Tensor,
    dead: Tensor,
    *,
    architecture: str,
    config: Mapping[str, object],
    coefficients: Mapping[str, float] | None = None,
) -> None:
    """What saelens_gradients.py reads."""
    directory.mkdir()
    weights = {name: tensor.clone() for name, tensor in state.items()}
    save_file({**weights, "x": x, "dead": dead}, directory / "weights.safetensors")
    case = {"architecture": architecture, "config": dict(config), "coefficients": dict(coefficients or {})}
    (directory / "case.json").write_text(json.dumps(case))


def compare(
    directory: Path, sae: SparseAutoencoder, losses: Losses, terms: Mapping[str, str], scale: float
) -> dict[str, Tensor]:
    """Our terms (under our names → theirs) and gradients, times the scale, are those of their answer, which is returned.

    Where theirs keeps a term in parts (the inner widths' errors), the parts are added.
    """
    answer: dict[str, Tensor] = load_file(directory / "gradients.safetensors")
    inner = [value for name, value in answer.items() if name.startswith("loss.inner_")]
    for ours, theirs in terms.items():
        wanted = answer[f"loss.{theirs}"] + (sum(inner) if ours == "recon" else 0)
        assert float(losses.terms[ours]) > 0
        assert_close(losses.terms[ours] * scale, wanted, f"{directory.name}: {ours}")
    for name, parameter in sae.named_parameters():
        assert parameter.grad is not None
        assert_close(parameter.grad * scale, answer[f"grad.{name}"], f"{directory.name}: gradient of {name}")
    return answer
