"""`make bench-quality`: FVU against L0 for saetui, SAELens and dictionary_learning, on the same rows in the same order.

The activations of the bundled model's middle layer are read once; each trainer runs in its own environment, one after the
other, with the same width, batch and steps, at each of the same learning rates; of these the table has each trainer's best for
each point, because one rate is not the same for all (SAELens starts its decoder's rows at norm 0.1, ours have norm 1). A ratio above 1
is ours worse at equal L0.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from saetui.activations import ActivationExtractor, ContextOrder, Site, extract_rows, open_model, prepare_tokens
from tests.benchmarks.quality_data import Plan, Point
from tests.benchmarks.quality_saetui import SITE
from tests.peers.environment import peer_python

ROOT = Path(__file__).resolve().parents[2]
POINTS: dict[str, list[float]] = {
    "topk": [8, 16, 32],
    "batch_topk": [8, 16, 32],
    "standard": [0.001, 0.002, 0.004, 0.008, 0.016],
}
PEERS = ("saelens", "dictionary_learning")


def main() -> None:
    """Reads rows, runs the trainers, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--latents", type=int, default=1024)
    parser.add_argument("--learning-rates", default="0.003,0.01,0.03")
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--families", default=",".join(POINTS))
    asked = parser.parse_args()
    plan = Plan(
        latents=asked.latents,
        batch=asked.batch,
        steps=asked.steps,
        learning_rates=[float(rate) for rate in asked.learning_rates.split(",")],
        seed=0,
        points={family: POINTS[family] for family in asked.families.split(",")},
    )
    with tempfile.TemporaryDirectory(prefix="saetui-quality-") as name:
        directory = Path(name)
        (directory / "plan.json").write_text(json.dumps(plan))
        save_file(read_rows(asked.rows, directory / "tokens"), directory / "rows.safetensors")
        results = {"saetui": trained("saetui", Path(sys.executable), directory)}
        for peer in PEERS:
            python = peer_python(peer)
            if python is None:
                print(f"{peer} is not installed (make peers): left out", file=sys.stderr)
            else:
                results[peer] = trained(peer, python, directory)
    print(table(plan, {name: best(points) for name, points in results.items()}))


def read_rows(count: int, cache: Path) -> dict[str, Tensor]:
    """So many raw rows of training text, and a tenth as many of held-out text."""
    model = open_model("bundled:tiny", device="cpu")
    data = prepare_tokens("bundled:stdlib", model.tokenizer, context_length=128, cache_directory=cache)
    extractor = ActivationExtractor(model, [Site.parse(SITE)])
    contexts = {"train": ContextOrder(data.train, 0).at(range(count // 128 + 1)), "held_out": data.held_out}
    read: dict[str, Tensor] = {}
    for name, wanted in (("train", count), ("held_out", max(2048, count // 10))):
        parts: list[Tensor] = []
        for rows in extract_rows(extractor, data, contexts[name]):
            parts.append(rows[SITE])
            if sum(len(part) for part in parts) >= wanted:
                break
        read[name] = torch.cat(parts)[:wanted].contiguous()
    return read


def trained(name: str, python: Path, directory: Path) -> list[Point]:
    """One trainer's points, each told on standard error as it comes."""
    command = [str(python), "-m", f"tests.benchmarks.quality_{name}", str(directory)]
    points: list[Point] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                points.append(json.loads(line))
                print(name, line.strip(), file=sys.stderr, flush=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return points


def best(points: Sequence[Point]) -> list[Point]:
    """For each point that was asked for, that of the learning rate with the lowest FVU.

    Where L0 is not asked for but comes out, the rate moves it too: there every rate is a point of the curve.
    """
    kept: dict[tuple[str, float, float], Point] = {}
    for point in points:
        key = (point["family"], point["asked"], point["rate"] if point["family"] == "standard" else 0.0)
        if key not in kept or point["fvu"] < kept[key]["fvu"]:
            kept[key] = point
    return list(kept.values())


def table(plan: Plan, results: dict[str, list[Point]]) -> str:
    """Every point, and for each peer's point our FVU at its L0, relative to its own."""
    lines = [
        f"{plan['latents']} latents, batches of {plan['batch']}, {plan['steps']} steps",
        f"{'family':<12}{'trainer':<22}{'asked':>8}{'rate':>8}{'L0':>8}{'FVU':>9}{'never':>8}{'s':>7}{'ours / theirs':>16}",
    ]
    for family in plan["points"]:
        ours = [point for point in results["saetui"] if point["family"] == family]
        for trainer, points in results.items():
            for point in points:
                if point["family"] != family:
                    continue
                ratio = "" if trainer == "saetui" else _ratio(ours, point)
                lines.append(
                    f"{family:<12}{trainer:<22}{point['asked']:>8g}{point['rate']:>8g}{point['l0']:>8.1f}{point['fvu']:>9.4f}"
                    f"{point['never']:>8.1%}{point['seconds']:>7.0f}{ratio:>16}"
                )
    return "\n".join(lines)


def _beaten(point: Point, others: Sequence[Point]) -> bool:
    """Whether another is sparser and better."""
    return any(other["l0"] < point["l0"] and other["fvu"] <= point["fvu"] for other in others)


def _ratio(ours: Sequence[Point], theirs: Point) -> str:
    """Our FVU at their L0 over theirs; between two points of ours linear in the logarithms, outside them unknown."""
    curve = [point for point in sorted(ours, key=lambda point: point["l0"]) if not _beaten(point, ours)]
    for low, high in pairwise(curve):
        # A point that lies within a hundredth of an end is at that end: L0 is asked for, and met that well.
        if low["l0"] * 0.99 <= theirs["l0"] <= high["l0"] * 1.01:
            share = math.log(theirs["l0"] / low["l0"]) / math.log(high["l0"] / low["l0"])
            fvu = math.exp((1 - share) * math.log(low["fvu"]) + share * math.log(high["fvu"]))
            return f"{fvu / theirs['fvu']:.3f}"
    return "–"


if __name__ == "__main__":
    main()
