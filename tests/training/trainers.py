"""Trainers of one site on planted activations: small enough to take some steps in a moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from saetui.sae import PlantedDictionary
from saetui.spec.architectures import BY_K
from saetui.spec.settings import Settings, resolve
from saetui.spec.training_spec import TrainingSpec, parse_spec
from saetui.training.pairs import pairs_of, sites_read
from saetui.training.site import SiteTrainer

D = 16
LATENTS = 64
BATCH = 128
DATASET_TOKENS = 10 * BATCH
SMALL: dict[str, Any] = {
    "latent_dim": LATENTS, "batch_size": BATCH, "num_steps": 20, "learning_rate": 3e-3, "log_interval": 5,
    "dead_neuron_window": 4 * BATCH, "sparsity_warmup_steps": 2,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "standard": {"l1_alpha": 0.02},
    "topk": {"k": 4},
    "batch_topk": {"k": 4},
    "jumprelu": {"l0_alpha": 3e-3, "bandwidth": 0.3},
    "gated": {"l1_alpha": 0.02},
    "matryoshka": {"k": 4, "matryoshka_widths": "16,64"},
    "skip": {"l1_alpha": 0.02},
    "transcoder": {"k": 4},
    "skip_transcoder": {"k": 4},
}
"""What an architecture needs to be sparse on planted activations."""


def small(architecture: str, seed: int = 0, **hyperparameters: Any) -> tuple[TrainingSpec, Settings]:
    """A spec of 20 small steps and its numbers. None drops a hyperparameter that would be set."""
    chosen = {**SMALL, **OWN[architecture], **hyperparameters}
    if architecture in BY_K and "l1_alpha" not in chosen:
        del chosen["sparsity_warmup_steps"]
    raw = {
        "model": "planted", "dataset": {"source": "planted"}, "layers": [1], "architecture": architecture, "seed": seed,
        "hyperparameters": {name: value for name, value in chosen.items() if value is not None},
    }  # fmt: skip
    spec, _ = parse_spec(raw)
    settings = resolve(spec, D, DATASET_TOKENS)
    assert settings is not None
    return spec, settings


def batches(spec: TrainingSpec, size: int = BATCH) -> Iterator[dict[str, Tensor]]:
    """Planted activations, three times as large as normalised ones, for every site that the spec reads; without end."""
    generator = torch.Generator().manual_seed(5)
    planted = {
        site.name: PlantedDictionary.make(32, D, active=3, noise=0.05, generator=generator)
        for site in sites_read(pairs_of(spec))
    }
    while True:
        yield {name: 3.0 * dictionary.sample(size, generator) for name, dictionary in planted.items()}


def fresh(spec: TrainingSpec, settings: Settings, dtype: torch.dtype | None = None) -> SiteTrainer:
    """The trainer of the spec's only site, which has taken no step."""
    trainers = SiteTrainer.fresh(pairs_of(spec), spec, settings, batches(spec), torch.device("cpu"), dtype)
    (trainer,) = trainers.values()
    return trainer


def take_steps(trainer: SiteTrainer, spec: TrainingSpec, settings: Settings, first: int = 0) -> list[dict[str, float]]:
    """Train to the end; the metrics of each interval."""
    stream = batches(spec, settings.batch_size)
    for _ in range(first):
        next(stream)
    rows = []
    for step in range(first, settings.num_steps):
        trainer.step(next(stream), step)
        if (step + 1) % settings.log_interval == 0 or step + 1 == settings.num_steps:
            rows.append(trainer.interval_metrics(step + 1))
    return rows


def train_small(architecture: str, **hyperparameters: Any) -> tuple[SiteTrainer, list[dict[str, float]]]:
    """A whole small training, and the metrics of its intervals."""
    spec, settings = small(architecture, **hyperparameters)
    trainer = fresh(spec, settings)
    return trainer, take_steps(trainer, spec, settings)
