"""A step's memory, as the estimate foretells it and as its live tensors add up."""

from __future__ import annotations

from typing import Any

import torch

from saetui.sae import DeadSet
from saetui.spec.memory import reconstruction_bytes, step_bytes
from saetui.spec.settings import Settings, resolve
from saetui.spec.training_spec import parse_spec
from saetui.training.pairs import pairs_of, sites_read
from saetui.training.site import SiteTrainer
from tests.training.live_bytes import LiveBytes

Sizes = tuple[int, int, int, int | None]
"""d, latents, batch, micro-batch."""


def step_memory(
    architecture: str, sizes: Sizes, device: torch.device, dtype: torch.dtype | None = None, **hyperparameters: Any
) -> tuple[int, int]:
    """Bytes of one step and its batch, beside weights and moments: foretold, and alive at once; half of the latents are dead."""
    d, latents, batch, _ = sizes
    trainer, settings = _trainer(architecture, sizes, device, dtype, hyperparameters)
    # Half of the latents: what AuxK takes grows with them.
    trainer._dead._current = DeadSet(torch.arange(latents // 2, device=device), latents // 2)
    sites = {trainer.pair.source, trainer.pair.target}
    with LiveBytes() as live:
        rows = {site.name: torch.randn(batch, d, dtype=dtype, device=device) for site in sites}
        trainer.step(rows, 0)
    weights = sum(parameter.nbytes for parameter in trainer.sae.parameters())
    # The gradients, as large as the weights, are a part of the estimate of their own.
    return step_bytes(architecture, settings, d, len(sites), weights, kind_of(device)) + weights, live.peak


def reconstruction_memory(architecture: str, sizes: Sizes, device: torch.device) -> tuple[int, int]:
    """Bytes of one reconstruction of a batch, as an evaluation asks for it: foretold, and alive at once."""
    d, _, batch, _ = sizes
    trainer, settings = _trainer(architecture, sizes, device, None, {})
    raw = torch.randn(batch, d, device=device)
    with LiveBytes() as live:
        trainer.reconstruct(raw)
    return reconstruction_bytes(architecture, settings, d, batch, kind_of(device)), live.peak


def _trainer(
    architecture: str, sizes: Sizes, device: torch.device, dtype: torch.dtype | None, hyperparameters: dict[str, Any]
) -> tuple[SiteTrainer, Settings]:
    d, latents, batch, micro_batch = sizes
    hyperparameters = {
        "latent_dim": latents,
        "batch_size": batch,
        "micro_batch_size": micro_batch,
        "num_steps": 20,
        **hyperparameters,
    }
    spec, _ = parse_spec(
        {"model": "none", "dataset": {"source": "none"}, "layers": [1], "architecture": architecture,
         "hyperparameters": hyperparameters}
    )  # fmt: skip
    settings = resolve(spec, d, 100 * batch)
    assert settings is not None
    sample = iter([{site.name: torch.randn(64, d) for site in sites_read(pairs_of(spec))}] * 100)
    (trainer,) = SiteTrainer.fresh(pairs_of(spec), spec, settings, sample, device, dtype).values()
    return trainer, settings


def kind_of(device: torch.device) -> str:
    """What the estimate calls it: torch's device without data stands for a card of its own."""
    return "cpu" if device.type == "cpu" else "cuda"
