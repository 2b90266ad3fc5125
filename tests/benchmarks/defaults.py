"""What each architecture's defaults are worth: `python -m tests.benchmarks.defaults`.

Trains on the same activations of a model's layer 2 (the bundled one, or with `--model second` a small Llama, its sinks left out), with
the same seed, and prints FVU, L0 and the loss (with the penalty at its full weight: what penalised architectures must be compared
by) on held-out text, and the dead share, one line a trial. A trial is an architecture and what is not its default:
`python -m tests.benchmarks.defaults --steps 300 jumprelu "jumprelu l0_alpha=0.001 learning_rate=0.0003"`; without any, every
architecture at its defaults. The first run reads the activations (some minutes) and keeps them in the file that `--pool` names.

The learning rate. Adam moves a weight by at most the rate a step, so that a short run at the rate of a long one does not arrive; the
noise that a high rate leaves goes in the last fifth, where it falls to 0; what bounds it are latents that die. Measured on the bundled
model with one seed, FVU and share of dead latents (penalised architectures: the loss, L0, dead; * is the default of
saetui/spec/settings.py):

    300 steps, 1024 latents, batches of 512
                  1.2e-3         1.8e-3         2.5e-3         3.5e-3         5e-3
    topk          .1114  .9 %    .1028 1.7 %    .0978 2.1 %    .0933 3.9 %    .0898 6.3 %    (* 4e-3)
    batch_topk                                  .1048 4.1 %    .0987 5.8 %    .0897 7.8 %    (* 4e-3)
    matryoshka                                  .1034 6.6 %    .0961 6.5 %    .0893 6.6 %    (* 4e-3)
    standard      .312 89  0 %   .302 72   0 %  .297 61   0 %                 .291 43   0 %  l1_alpha .11 / sqrt(d), as before
    jumprelu      .099 81  0 %   .092 75   1 %  .086 72   5 %  .079 70  18 %  .071 68  37 %  pre_activation_alpha 0, as before
    with the defaults of now: standard 4e-3, .222 71 0 %; gated 4e-3, .364 51 2 %; jumprelu 2.5e-3, .087 72 2 %
    transcoder at 1e-3: .1622 6 %; at 4e-3: .0878 34 % (aux_k_alpha .25: .0868 30 %; 2e-3, aux_k 512: .1097 12 %)

    2,000 steps, 512 latents, batches of 256
                  1e-3           2e-3           3.5e-3         6e-3
    topk          .0872  .4 %    .0773  .4 %    .0684 1.4 %    .0620 4.7 %    (* 4e-3)
    jumprelu      1e-3: .0590 68 1 %; 2.5e-3: .0533 66 23 %; 2.5e-3 with pre_activation_alpha 3e-4: .0537 66 3 % (*)
                  2.5e-3 with Adam's beta_1 at 0, as Gemma Scope has it: .0579 64 1 %
    standard      4e-3: .293 28 0 % with l1_alpha .11 / sqrt(d), .223 44 0 % with .07 / sqrt(d) (*)

    10,000 steps, 512 latents, batches of 256
    topk          1e-3: .0675 0 %; 2.5e-3: .0568 .6 %; 5e-3: .0553 3.9 % (* 4e-3)
    standard      4e-3: .218 40 0 % (*)

    10,000 and 50,000 steps, 256 latents, batches of 128
    topk          50,000 at 3e-3: .0606 .4 % (* 3.6e-3)
    standard      50,000 at 3e-3: .243 35 0 %
    jumprelu      50,000 at 2.5e-3: .0575 74 .4 % (*); 10,000 at 2.5e-3: .0607 80 2 % (*), at 1e-3: .0613 84 2 %; a third of its latents
                  fire on none of 32,000 held-out tokens, at either rate: they are alive by the window, and rare

jumprelu's other parameters at the rate times sqrt(d), as theta has it (300 steps, 2.5e-3; loss, L0, dead): none .0860 72 5.4 %; b_enc and
b_dec .0849 72 7.0 %: they stay at the rate. theta too at the rate alone, at 8e-4: L0 154 instead of 87.
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
from saetui.bundled import TINY
from saetui.sae import IntervalSums
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.editing import apply_overrides
from saetui.spec.settings import resolve
from saetui.spec.training_spec import parse_spec
from saetui.training.pairs import pairs_of
from saetui.training.site import SiteTrainer
from tests.sink_models import second_model

LAYER = 2
POOL_TOKENS = 1_500_000
HELD_OUT_CONTEXTS = 256
SINK_NORM = 6.0
"""Times the median norm: what is longer is left out, as it is by default."""
SITES = [Site(LAYER, point) for point in (HookPoint.RESID_POST, HookPoint.MLP_IN, HookPoint.MLP_OUT)]
Rows = dict[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", default=list(ARCHITECTURES))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--latents", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", choices=("bundled", "second"), default="bundled")
    parser.add_argument("--pool", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    file = arguments.pool or Path(tempfile.gettempdir()) / f"saetui-defaults-pool-{arguments.model}.pt"
    if not file.exists():
        directory = TINY if arguments.model == "bundled" else second_model(file.with_suffix(""))
        torch.save(read_pool(directory), file)
    pool = torch.load(file, weights_only=True, mmap=True)
    print(f"{'trial':60}  {'rate':>8}  {'FVU':>7}  {'L0':>7}  {'loss':>7}  {'dead':>6}  {'never':>6}", flush=True)
    for trial in arguments.trials:
        sizes = {"latent_dim": arguments.latents, "batch_size": arguments.batch, "num_steps": arguments.steps}
        print(f"{trial:60}  {try_out(trial, sizes, arguments.seed, pool)}", flush=True)


def read_pool(model_directory: Path) -> dict[str, Rows]:
    """Shuffled activations of training text, and those of held-out text, in float16."""
    model = open_model(str(model_directory))
    with tempfile.TemporaryDirectory() as cache:
        dataset = prepare_tokens("bundled:stdlib", model.tokenizer, context_length=128, cache_directory=Path(cache))
        extractor = ActivationExtractor(model, SITES)
        contexts = ContextOrder(dataset.train, 0).at(range(-(-POOL_TOKENS // 128)))
        train = _joined(extract_rows(extractor, dataset, contexts))
        held_out = _joined(extract_rows(extractor, dataset, np.asarray(dataset.held_out[:HELD_OUT_CONTEXTS])))
    train, held_out = _without_sinks(train, held_out)
    order = torch.randperm(len(next(iter(train.values()))), generator=torch.Generator().manual_seed(0))
    return {"train": {site: rows[order] for site, rows in train.items()}, "held": held_out}


def try_out(trial: str, sizes: dict[str, int], seed: int, pool: dict[str, Rows]) -> str:
    """Train once, and say how good it got."""
    architecture, *overrides = trial.split()
    raw = {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "architecture": architecture, "seed": seed}
    raw |= {"layers": [LAYER], "hyperparameters": sizes}
    spec, _ = parse_spec(apply_overrides(raw, overrides))
    width = next(iter(pool["train"].values())).shape[1]
    settings = resolve(spec, width)
    assert settings is not None
    batches = _batches(pool["train"], settings.batch_size)
    (trainer,) = SiteTrainer.fresh(pairs_of(spec), spec, settings, batches, torch.device("cpu")).values()
    for step in range(settings.num_steps):
        trainer.step(next(batches), step)
    sums = IntervalSums(trainer.latents, trainer.sae.d_out)
    for start in range(0, len(next(iter(pool["held"].values()))), 2048):
        rows = {site: held[start : start + 2048].float() for site, held in pool["held"].items()}
        sums.add(*trainer.measure(rows))
    never = float((sums.densities == 0).double().mean())
    figures = sums.read()
    penalised = figures["l0"] if settings.l0_alpha is not None else figures.get("l1", 0.0)
    loss = figures["recon_loss"] + (settings.sparsity_coefficient or 0.0) * penalised
    return (
        f"{settings.learning_rate:8g}  {figures['fvu']:7.4f}  {figures['l0']:7.1f}  {loss:7.4f}  "
        f"{trainer.dead / trainer.latents:6.1%}  {never:6.1%}"
    )


def _without_sinks(train: Rows, held_out: Rows) -> tuple[Rows, Rows]:
    """Tokens that are a sink at no site."""
    limits = {site: SINK_NORM * rows.float().norm(dim=1).median() for site, rows in train.items()}

    def kept(rows: Rows) -> Rows:
        ordinary = torch.stack([rows[site].float().norm(dim=1) <= limit for site, limit in limits.items()]).all(0)
        return {site: part[ordinary] for site, part in rows.items()}

    return kept(train), kept(held_out)


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
