"""What a GPU would do, on torch's `meta` device: tensors without data, off the processor, on which every attempt to look at a
value, and every operation between two devices, is an error. So a step that goes through waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saetui.sae import DeadSet, SparseAutoencoder
from saetui.spec.architectures import ARCHITECTURES, TRANSCODERS
from saetui.spec.settings import Settings
from saetui.training import optimizers
from saetui.training.optimizers import parameter_groups
from saetui.training.pairs import pairs_of
from saetui.training.site import SiteTrainer
from tests.training.step_memory import Sizes, step_memory
from tests.training.trainers import batches, small

META = torch.device("meta")
MODES: dict[str, tuple[str, dict[str, Any]]] = {
    **{architecture: (architecture, {}) for architecture in ARCHITECTURES},
    "free rows": ("standard", {"decoder_norm": "free"}),
    "gated, free rows": ("gated", {"decoder_norm": "free"}),
    "jumprelu to a target": ("jumprelu", {"sparsity_mode": "quadratic", "l0_target": 4.0}),
    "jumprelu by tanh": ("jumprelu", {"sparsity_mode": "tanh"}),
    "transcoder by L1": ("transcoder", {"k": None, "l1_alpha": 0.02}),
    "skip_transcoder by L1": ("skip_transcoder", {"k": None, "l1_alpha": 0.02}),
    "ghost gradients": ("standard", {"ghost_grad_penalty": True}),
    "topk, dense": ("topk", {"k": 32}),
    "batch_topk, dense": ("batch_topk", {"k": 32}),
    "layer_norm": ("topk", {"normalize_activations": "layer_norm"}),
}


SIZES: dict[str, Sizes] = {
    "whole batch": (256, 8192, 8192, None),
    "in pieces": (512, 8192, 4096, 1024),
    "more latents than fit in a block": (128, 65536, 1024, None),
}


@pytest.fixture(autouse=True)
def plain_optimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's fused optimisers refuse a device without data; what they do on a GPU is torch's own, in place."""

    def build(sae: SparseAutoencoder, settings: Settings) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameter_groups(sae, settings.learning_rate), foreach=False)

    monkeypatch.setattr(optimizers, "build_optimizer", build)


@pytest.mark.parametrize("micro_batch", [None, 50])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("mode", MODES)
def test_a_step_waits_for_nothing(mode: str, dtype: torch.dtype | None, micro_batch: int | None) -> None:
    architecture, hyperparameters = MODES[mode]
    spec, settings = small(architecture, **hyperparameters, micro_batch_size=micro_batch)
    (trainer,) = SiteTrainer.fresh(pairs_of(spec), spec, settings, batches(spec), META, dtype).values()
    rows = {name: values.to(META) for name, values in next(batches(spec)).items()}
    trainer.step(rows, 0)
    trainer._dead._current = DeadSet(torch.empty(3, dtype=torch.int64, device=META), 3)
    trainer.step(rows, 1)
    assert {tensor.device.type for tensor in trainer.sae.state_dict().values()} == {"meta"}
    with pytest.raises(RuntimeError, match="meta"):
        trainer.interval_metrics(2)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_takes_what_the_estimate_says(architecture: str, size: str, dtype: torch.dtype | None) -> None:
    foretold, peak = step_memory(architecture, SIZES[size], META, dtype)
    # A transcoder may also be trained by L1, which takes more than by k.
    assert 1.0 <= foretold / peak <= (1.6 if architecture in TRANSCODERS else 1.5)
