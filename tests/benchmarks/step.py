"""`make bench`: one training step beside the five matrix products that it must do, and beside each peer that is installed.

A process for ours and one for each peer, asked for a step in turn, on random activations of the same sizes; the figures are
medians over the rounds, as times and as ratios. Architectures with a penalty are set to fire on 1 % of the latents, as
trained ones do, in ours and in the peers alike, and each tells the L0 of its last step: another L0 than that is refused.
`(dense)` is the same architecture as it starts, with half of them firing.
Machine and versions come first.
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
from dataclasses import dataclass
from pathlib import Path

import torch

from saetui.training.tasks.bench import claimed_l0, require_l0
from tests.peers.environment import peer_python

SIZES = {"small": (256, 2048, 4096), "large": (768, 6144, 4096)}
ROUNDS = 5
WARM_UP = 2
K = 32
DENSE = " (dense)"
CONTENDERS: dict[str, tuple[str, ...]] = {
    "standard": ("saelens", "dictionary_learning"),
    f"standard{DENSE}": ("saelens", "dictionary_learning"),
    "jumprelu": ("saelens",),
    f"jumprelu{DENSE}": ("saelens",),
    "gated": ("saelens",),
    f"gated{DENSE}": ("saelens",),
    "topk": ("saelens", "sparsify", "dictionary_learning"),
    "batch_topk": ("saelens", "dictionary_learning"),
    "matryoshka": ("saelens",),
    "transcoder": (),
    "skip_transcoder": (),
}
"""What is timed, and which peers train it."""


@dataclass(frozen=True)
class Row:
    """Medians in milliseconds, the largest resident memory of each process above what it had before its first step, and L0s."""

    size: str
    architecture: str
    matmuls: float
    times: dict[str, float]
    memory: dict[str, int]
    l0: dict[str, float]


class Contender:
    """A process that takes a step whenever it is asked, and answers with the milliseconds and the bytes that it took."""

    def __init__(self, python: Path, script: str, *arguments: str) -> None:
        self.script = script
        self._command = f"{python} {script} {' '.join(arguments)}"
        command = [str(python), str(Path(__file__).with_name(script)), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def step(self) -> tuple[float, int]:
        """One step: milliseconds, and bytes at the peak so far.

        Raises:
            RuntimeError: the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            # What a library prints of its own is not an answer.
            if line.startswith("turn "):
                _, milliseconds, peak = line.split()
                return float(milliseconds), int(peak)
        raise RuntimeError(f"{self._command} gave no answer")

    def close(self) -> float:
        """Let it go: the L0 of its last step.

        Raises:
            RuntimeError: the process did not tell it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        last = [line for line in self._process.stdout if line.startswith("l0 ")]
        self._process.wait()
        if not last:
            raise RuntimeError(f"{self._command} did not tell its L0")
        return float(last[-1].split()[1])


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


def measure(architecture: str, size: tuple[int, int, int], rounds: int) -> Row:
    """The medians of one architecture at one size, the contenders taking turns.

    Raises:
        SaetuiError: a contender was not measured at the L0 that is claimed.
    """
    name, settled = architecture.removesuffix(DENSE), not architecture.endswith(DENSE)
    arguments = (name, *map(str, size), str(K), "settled" if settled else "fresh")
    contenders = {"saetui": Contender(Path(sys.executable), "saetui_step.py", *arguments)}
    for peer in CONTENDERS[architecture]:
        python = peer_python(peer)
        if python is not None:
            contenders[peer] = Contender(python, f"{peer}_step.py", *arguments)
    limit = products(*size)
    matmuls: list[float] = []
    times: dict[str, list[float]] = {who: [] for who in contenders}
    memory: dict[str, int] = {}
    for turn in range(rounds + WARM_UP):
        began = time.perf_counter()
        limit()
        taken = (time.perf_counter() - began) * 1000
        if turn >= WARM_UP:
            matmuls.append(taken)
        for who, contender in contenders.items():
            milliseconds, memory[who] = contender.step()
            if turn >= WARM_UP:
                times[who].append(milliseconds)
    l0 = {who: contender.close() for who, contender in contenders.items()}
    if settled:
        for who, measured in l0.items():
            require_l0(f"{name} in {who}", measured, claimed_l0(name, size[1], K))
    medians = {who: statistics.median(values) for who, values in times.items()}
    return Row(" / ".join(map(str, size)), architecture, statistics.median(matmuls), medians, memory, l0)


def main() -> None:
    """Print the table as it grows; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--architectures", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    missing = [peer for peer in ("saelens", "sparsify", "dictionary_learning") if peer_python(peer) is None]
    lacking = f"; not installed: {', '.join(missing)} (make peers)" if missing else ""
    print(f"{machine()}{lacking}", file=sys.stderr)
    if not arguments.json:
        print(
            "d / latents / batch   architecture          products    saetui  of products      L0  "
            "peers: ms, times ours, memory ratio, L0"
        )
    for size in arguments.sizes:
        for architecture in arguments.architectures:
            row = measure(architecture, SIZES[size], arguments.rounds)
            print(json.dumps(row.__dict__) if arguments.json else _line(row), flush=True)


def machine() -> str:
    """What is measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _line(row: Row) -> str:
    ours, memory = row.times["saetui"], max(1, row.memory["saetui"])
    peers = "   ".join(
        f"{who} {taken:.0f} {taken / ours:.1f}× {row.memory[who] / memory:.1f}×m L0 {row.l0[who]:.3g}"
        for who, taken in row.times.items()
        if who != "saetui"
    )
    return f"{row.size:22}{row.architecture:20}{row.matmuls:10.0f}{ours:10.0f}{ours / row.matmuls:12.2f}×{row.l0['saetui']:8.3g}  {peers}"


if __name__ == "__main__":
    main()
