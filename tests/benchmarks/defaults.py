"""What each architecture's defaults are worth on the bundled model: `python -m tests.benchmarks.defaults`.

Trains on the same activations of the bundled model's layer 2, 1024 latents, 2048 tokens a step, the same seed, and prints FVU
and L0 on held-out text and the dead share, one line a trial. A trial is an architecture and what is not its default:
`python -m tests.benchmarks.defaults --steps 2000 jumprelu "jumprelu l0_alpha=0.001 learning_rate=0.0003"`; without any, every
architecture at its defaults. The first run reads the activations (a minute) and keeps them in the file that `--pool` names.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from saetui.activations import ActivationExtractor, ContextOrder, extract_rows, open_model, prepare_tokens
from saetui.activations.sites import HookPoint, Site
from saetui.jobs.architectures import ARCHITECTURES
from saetui.jobs.editing import apply_overrides
from saetui.jobs.settings import resolve
from saetui.jobs.spec import parse_spec
from saetui.sae import IntervalSums
from saetui.training.pairs import pairs_of
from saetui.training.site import SiteTrainer

LAYER = 2
BATCH = 2048
LATENTS = 1024
POOL_TOKENS = 1_500_000
HELD_OUT_CONTEXTS = 256
SITES = [Site(LAYER, point) for point in (HookPoint.RESID_POST, HookPoint.MLP_IN, HookPoint.MLP_OUT)]
Rows = dict[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", default=list(ARCHITECTURES))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pool", type=Path, default=Path(tempfile.gettempdir()) / "saetui-defaults-pool.pt")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.pool.exists():
        torch.save(read_pool(), arguments.pool)
    pool = torch.load(arguments.pool, weights_only=True, mmap=True)
    print(f"{'trial':70}  {'FVU':>7}  {'L0':>7}  {'dead':>6}  {'never':>6}", flush=True)
    for trial in arguments.trials:
        print(f"{trial:70}  {try_out(trial, arguments.steps, arguments.seed, pool)}", flush=True)


def read_pool() -> dict[str, Rows]:
    """Shuffled activations of training text, and those of held-out text, in float16."""
    model = open_model("bundled:tiny")
    with tempfile.TemporaryDirectory() as cache:
        dataset = prepare_tokens("bundled:stdlib", model.tokenizer, context_length=128, cache_directory=Path(cache))
        extractor = ActivationExtractor(model, SITES)
        contexts = ContextOrder(dataset.train, 0).at(range(-(-POOL_TOKENS // 128)))
        train = _joined(extract_rows(extractor, dataset, contexts))
        held_out = _joined(extract_rows(extractor, dataset, np.asarray(dataset.held_out[:HELD_OUT_CONTEXTS])))
    order = torch.randperm(len(next(iter(train.values()))), generator=torch.Generator().manual_seed(0))
    return {"train": {site: rows[order] for site, rows in train.items()}, "held": held_out}


def try_out(trial: str, steps: int, seed: int, pool: dict[str, Rows]) -> str:
    """Train once, and say how good it got."""
    architecture, *overrides = trial.split()
    raw = {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "architecture": architecture, "seed": seed}
    raw |= {"layers": [LAYER], "hyperparameters": {"latent_dim": LATENTS, "batch_size": BATCH, "num_steps": steps}}
    spec, _ = parse_spec(apply_overrides(raw, overrides))
    width = next(iter(pool["train"].values())).shape[1]
    settings = resolve(spec, width)
    assert settings is not None
    batches = _batches(pool["train"], settings.batch_size)
    (trainer,) = SiteTrainer.fresh(pairs_of(spec), spec, settings, batches, torch.device("cpu")).values()
    for step in range(settings.num_steps):
        trainer.step(next(batches), step)
    sums = IntervalSums(trainer.latents, trainer.sae.d_out)
    for start in range(0, len(next(iter(pool["held"].values()))), BATCH):
        rows = {site: held[start : start + BATCH].float() for site, held in pool["held"].items()}
        sums.add(*trainer.measure(rows))
    never = float((sums.densities == 0).double().mean())
    figures = sums.read()
    dead = trainer.dead / trainer.latents
    return f"{figures['fvu']:7.4f}  {figures['l0']:7.1f}  {dead:6.1%}  {never:6.1%}"


def _joined(blocks: Iterator[Rows]) -> Rows:
    parts: dict[str, list[Tensor]] = {site.name: [] for site in SITES}
    for block in blocks:
        for site, rows in block.items():
            parts[site].append(rows.half())
    return {site: torch.cat(rows) for site, rows in parts.items()}


def _batches(train: Rows, size: int) -> Iterator[Rows]:
    """Without end; pass after pass in the same order."""
    count = len(next(iter(train.values())))
    start = 0
    while True:
        if start + size > count:
            start = 0
        yield {site: rows[start : start + size].float() for site, rows in train.items()}
        start += size


if __name__ == "__main__":
    main()
