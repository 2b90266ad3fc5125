"""`make bench`: one training step beside the five matrix products that it must do, and beside SAELens where it is installed.

Every contender runs in the same process environment, one after the other in rounds, on the same random activations; the
figures are medians over the rounds, as times and as ratios. Machine and versions come first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from saetui.sae import DeadLatents, IntervalSums, build
from saetui.training.heap import keep_freed_memory
from tests.peers.environment import saelens_python

SIZES = {"small": (256, 2048, 4096), "large": (768, 6144, 4096)}
ROUNDS = 5
K = 32


def products(d: int, latents: int, batch: int) -> Callable[[], None]:
    """The five dense products of a step, and nothing else."""
    x, z = torch.randn(batch, d), torch.randn(batch, latents)
    weights = torch.randn(d, latents)

    def step() -> None:
        torch.mm(x, weights)
        torch.mm(z, weights.t())
        torch.mm(x, weights)
        torch.mm(x.t(), z)
        torch.mm(z.t(), x)

    return step


def training_step(architecture: str, d: int, latents: int, batch: int) -> Callable[[], None]:
    """A whole step of ours: forward, backward, clipping, Adam, dead latents, metrics."""
    options = {"k": K} if architecture == "topk" else {}
    sae = build(architecture, d, d, latents, torch.Generator().manual_seed(0), **options)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-4, fused=True)
    dead, sums = DeadLatents(latents, 10**7), IntervalSums(latents, d)
    x = torch.randn(batch, d)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        losses = sae.accumulate(x, sparsity_coefficient=1e-3, dead=dead.current)
        sae.before_step()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimizer.step()
        sae.after_step()
        sums.add(x, losses)
        dead.update(losses.statistics)

    return step


def milliseconds(step: Callable[[], None]) -> float:
    """One step's time."""
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000


class SaelensBench:
    """SAELens in its own process and environment, asked for one step at a time."""

    def __init__(self, python: Path, architecture: str, size: tuple[int, int, int]) -> None:
        script = Path(__file__).with_name("saelens_step.py")
        command = [str(python), str(script), architecture, *map(str, size), str(K)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self) -> float:
        """Milliseconds of one step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Print the table; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()
    python = saelens_python()
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"{machine}; SAELens {'6.54.12' if python else 'not installed (make peers)'}", file=sys.stderr)
    rows = [
        measure(architecture, SIZES[size], arguments.rounds, python)
        for size in arguments.sizes
        for architecture in ("standard", "topk")
    ]
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(
        f"{'d / latents / batch':22}{'':10}{'matmuls':>10}{'saetui':>10}{'of matmuls':>12}{'SAELens':>10}{'ratio':>8}"
    )
    for row in rows:
        theirs = f"{row.saelens:10.0f}{row.saelens / row.saetui:7.1f}×" if row.saelens is not None else ""
        share = row.saetui / row.matmuls
        print(f"{row.size:22}{row.architecture:10}{row.matmuls:10.0f}{row.saetui:10.0f}{share:11.2f}×{theirs}")


@dataclass(frozen=True)
class Row:
    """Medians in milliseconds; SAELens's is None where it is not installed."""

    size: str
    architecture: str
    matmuls: float
    saetui: float
    saelens: float | None


def measure(architecture: str, size: tuple[int, int, int], rounds: int, python: Path | None) -> Row:
    """The medians of one architecture at one size, the contenders taking turns."""
    limit, ours = products(*size), training_step(architecture, *size)
    theirs = SaelensBench(python, architecture, size) if python else None
    times: dict[str, list[float]] = {"matmuls": [], "saetui": [], "saelens": []}
    for turn in range(rounds + 2):
        taken = {"matmuls": milliseconds(limit), "saetui": milliseconds(ours)}
        if theirs:
            taken["saelens"] = theirs.step()
        if turn >= 2:
            for name, value in taken.items():
                times[name].append(value)
    if theirs:
        theirs.close()
    median = {name: statistics.median(values) for name, values in times.items() if values}
    return Row(" / ".join(map(str, size)), architecture, median["matmuls"], median["saetui"], median.get("saelens"))


if __name__ == "__main__":
    main()
