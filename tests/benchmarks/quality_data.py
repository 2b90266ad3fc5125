"""What the three trainers of `make bench-quality` share: the plan, the batches, and how a result is judged.

torch and safetensors alone: it is run by saetui's Python and by the peers'.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypedDict

import torch
from safetensors.torch import load_file
from torch import Tensor

THREADS = 1
"""Two that wait for each other on a busy machine are slower than one."""

Apply = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Raw activations (n, d) → z (n, F) and their reconstruction (n, d), raw."""


NESTED = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
"""The shares of the latents that matryoshka's prefixes have, of all three."""


class Plan(TypedDict):
    """What all are to do. `points`: for each family its k, l1_alpha or l0_alpha; each is trained at every rate and seed."""

    latents: int
    batch: int
    steps: int
    learning_rates: list[float]
    seeds: list[int]
    points: dict[str, list[float]]


class Point(TypedDict):
    """One trained SAE on the held-out rows. `rate` is None where it is the trainer's default."""

    family: str
    asked: float
    rate: float | None
    seed: int
    l0: float
    fvu: float
    never: float
    seconds: float


@dataclass(frozen=True)
class Material:
    """Plan and rows. `train` (n, d) and `held_out` (m, d) are raw activations; `seed` is that of the training at hand."""

    plan: Plan
    seed: int
    train: Tensor
    held_out: Tensor

    @property
    def scale(self) -> float:
        """Of rows with a mean square norm of d."""
        return float((self.train.shape[1] / self.train.square().sum(1).mean()).sqrt())

    def batches(self) -> Iterator[Tensor]:
        """The same batches for everyone, without end: epochs in a seeded order."""
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            order = torch.randperm(len(self.train), generator=generator)
            for part in torch.split(order, self.plan["batch"])[:-1]:
                yield self.train[part]


Trainer = Callable[[Material, str, float, "float | None"], Apply]
"""Trains one SAE: on the material, of a family, as sparse as asked, at a learning rate; None for its default."""


def run(trainer: Trainer, *, with_defaults: bool = False) -> None:
    """Train every point of the plan in the directory that the command line names; a line of JSON for each.

    Args:
        trainer: the one to try.
        with_defaults: whether it has a default for the learning rate that is to be tried as well.
    """
    torch.set_num_threads(THREADS)
    directory = Path(sys.argv[1])
    tensors = load_file(directory / "rows.safetensors")
    plan: Plan = json.loads((directory / "plan.json").read_text())
    wanted = [(family, asked) for family, values in plan["points"].items() for asked in values]
    rates = [*([None] if with_defaults else []), *plan["learning_rates"]]
    for seed, (family, asked), rate in product(plan["seeds"], wanted, rates):
        material = Material(plan, seed, tensors["train"], tensors["held_out"])
        torch.manual_seed(seed)
        began = time.perf_counter()
        apply = trainer(material, family, asked, rate)
        seconds = time.perf_counter() - began
        l0, fvu, never = _judged(material.held_out, apply)
        point = Point(family=family, asked=asked, rate=rate, seed=seed, l0=l0, fvu=fvu, never=never, seconds=seconds)
        print(json.dumps(point), flush=True)


@torch.no_grad()
def _judged(rows: Tensor, apply: Apply) -> tuple[float, float, float]:
    """L0, FVU, and the share of latents that fired on none of the rows."""
    error = active = 0.0
    fired = torch.zeros(1)
    for part in torch.split(rows, 2048):
        z, x_hat = apply(part)
        error += float((x_hat - part).double().square().sum())
        active += float((z > 0).sum())
        fired = fired + (z > 0).sum(0)
    variance = float((rows - rows.mean(0)).double().square().sum())
    return active / len(rows), error / variance, float((fired == 0).double().mean())
