"""saetui's part of `make bench-quality`: the trainer of its jobs, with its defaults."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.spec.settings import resolve
from saetui.spec.training_spec import parse_spec
from saetui.training.pairs import pairs_of
from saetui.training.site import SiteTrainer
from tests.benchmarks.quality_data import Apply, Material, run

SITE = "layer_2.resid_post"
PENALTIES = {"standard": "l1_alpha", "gated": "l1_alpha", "jumprelu": "l0_alpha"}


def train(material: Material, family: str, asked: float, rate: float | None) -> Apply:
    """One SAE on the plan's batches; only its sparsity is asked for, and its rate where one is given."""
    plan = material.plan
    sparsity = {PENALTIES[family]: asked} if family in PENALTIES else {"k": int(asked)}
    raw = {
        "model": "bundled:tiny",
        "dataset": {"source": "bundled:stdlib"},
        "layers": [2],
        "architecture": family,
        "seed": material.seed,
        "hyperparameters": {
            **sparsity,
            "latent_dim": plan["latents"],
            "batch_size": plan["batch"],
            "num_steps": plan["steps"],
            **({} if rate is None else {"learning_rate": rate}),
        },
    }
    spec, _ = parse_spec(raw)
    settings = resolve(spec, material.train.shape[1])
    assert settings is not None
    sample = ({SITE: rows} for rows in material.batches())
    trainer = SiteTrainer.fresh(pairs_of(spec), spec, settings, sample, torch.device("cpu"))[SITE]
    for step, rows in zip(range(plan["steps"]), material.batches()):
        trainer.step({SITE: rows}, step)

    def apply(rows: Tensor) -> tuple[Tensor, Tensor]:
        return trainer.sae.encode(trainer.units.source.normalise(rows)), trainer.reconstruct(rows)

    return apply


if __name__ == "__main__":
    run(train, with_defaults=True)
