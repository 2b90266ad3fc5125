"""`make bench-quality`: FVU against L0 for saetui, SAELens and dictionary_learning, on the same rows in the same order.

The activations of a middle layer are read once, of the bundled model and of a small Llama with attention sinks (tests/sink_models.py);
sinks are left out for all three alike, as ours leaves them out by default. Each trainer runs in its own environment, one after the
other, with the same width, batch, steps and seeds, at each of the same learning rates; the table has means over the seeds, and of the
rates each trainer's best for each point, because one rate is not the same for all (SAELens starts its decoder's rows at norm 0.1, ours
have norm 1). A ratio above 1 is ours worse at equal L0. `saetui, defaults` leaves the learning rate to its default; its ratio is to
our own best.

    python -m tests.benchmarks.quality --models bundled --families topk --steps 300 --seeds 0      a part of it
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from saetui.activations import ActivationExtractor, ContextOrder, Site, extract_rows, open_model, prepare_tokens
from saetui.bundled import TINY
from tests.benchmarks.quality_data import Plan, Point
from tests.benchmarks.quality_saetui import PENALTIES, SITE
from tests.peers.environment import peer_python
from tests.sink_models import second_model

ROOT = Path(__file__).resolve().parents[2]
POINTS: dict[str, list[float]] = {
    "topk": [8, 16, 32],
    "batch_topk": [8, 16, 32],
    "matryoshka": [8, 16, 32],
    "standard": [0.001, 0.002, 0.004, 0.008, 0.016],
    "gated": [0.004, 0.008, 0.016, 0.032],
    "jumprelu": [0.0002, 0.0006, 0.0015, 0.004],
}
PEERS = ("saelens", "dictionary_learning")
MODELS: dict[str, Callable[[Path], Path]] = {"bundled": lambda directory: TINY, "second": second_model}
"""Each makes a model in a directory, or says where it is."""
OURS, DEFAULTS = "saetui", "saetui, defaults"
SINK_NORM = 6.0
"""Times the median norm: what saetui leaves out by default."""


def main() -> None:
    """Reads rows, runs the trainers, prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--latents", type=int, default=1024)
    parser.add_argument("--learning-rates", default="0.001,0.003,0.01,0.03")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--families", default=",".join(POINTS))
    parser.add_argument("--points", help="Of one family: its k, l1_alpha or l0_alpha, with commas between them.")
    parser.add_argument("--models", default=",".join(MODELS))
    asked = parser.parse_args()
    families = asked.families.split(",")
    given = None if asked.points is None else [float(point) for point in asked.points.split(",")]
    plan = Plan(
        latents=asked.latents,
        batch=asked.batch,
        steps=asked.steps,
        learning_rates=[float(rate) for rate in asked.learning_rates.split(",")],
        seeds=[int(seed) for seed in asked.seeds.split(",")],
        points={family: given or POINTS[family] for family in families},
    )
    for model in asked.models.split(","):
        with tempfile.TemporaryDirectory(prefix="saetui-quality-") as name:
            print(f"{model} model\n{compared(plan, MODELS[model], asked.rows, Path(name))}\n", flush=True)


def compared(plan: Plan, model: Callable[[Path], Path], rows: int, directory: Path) -> str:
    """The table of one model."""
    (directory / "plan.json").write_text(json.dumps(plan))
    save_file(read_rows(model(directory / "model"), rows, directory / "tokens"), directory / "rows.safetensors")
    trained_here = trained("saetui", Path(sys.executable), directory)
    results = {
        OURS: [point for point in trained_here if point["rate"] is not None],
        DEFAULTS: [point for point in trained_here if point["rate"] is None],
    }
    for peer in PEERS:
        python = peer_python(peer)
        if python is None:
            print(f"{peer} is not installed (make peers): left out", file=sys.stderr)
        else:
            results[peer] = trained(peer, python, directory)
    return table(plan, {name: best(averaged(points)) for name, points in results.items()})


def read_rows(model_directory: Path, count: int, cache: Path) -> dict[str, Tensor]:
    """So many raw rows of training text without sinks, shuffled, and a tenth as many of held-out text."""
    model = open_model(str(model_directory), device="cpu")
    data = prepare_tokens("bundled:stdlib", model.tokenizer, context_length=128, cache_directory=cache)
    extractor = ActivationExtractor(model, [Site.parse(SITE)])
    contexts = {"train": ContextOrder(data.train, 0).at(range(count // 110 + 1)), "held_out": data.held_out}
    read: dict[str, Tensor] = {}
    limit = math.inf
    for name, wanted in (("train", count), ("held_out", max(2048, count // 10))):
        parts: list[Tensor] = []
        for rows in extract_rows(extractor, data, contexts[name]):
            if not parts and name == "train":
                limit = SINK_NORM * float(rows[SITE].norm(dim=1).median())
            parts.append(rows[SITE][rows[SITE].norm(dim=1) <= limit])
            if sum(len(part) for part in parts) >= wanted:
                break
        read[name] = torch.cat(parts)[:wanted].contiguous()
    return read


def trained(name: str, python: Path, directory: Path) -> list[Point]:
    """One trainer's points, each told on standard error as it comes."""
    command = [str(python), "-m", f"tests.benchmarks.quality_{name}", str(directory)]
    points: list[Point] = []
    errors = directory / f"{name}.log"
    with (
        errors.open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                points.append(json.loads(line))
                print(name, line.strip(), file=sys.stderr, flush=True)
    if process.returncode:
        said = errors.read_text().splitlines()[-5:]
        raise SystemExit("\n".join([f"{' '.join(command)} ended with status {process.returncode}:", *said]))
    return points


def averaged(points: Sequence[Point]) -> list[Point]:
    """The means over the seeds of what was asked for in the same words."""
    groups: dict[tuple[str, float, float | None], list[Point]] = {}
    for point in points:
        groups.setdefault((point["family"], point["asked"], point["rate"]), []).append(point)

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return [
        Point(
            family=family,
            asked=asked,
            rate=rate,
            seed=-1,
            l0=mean([point["l0"] for point in group]),
            fvu=mean([point["fvu"] for point in group]),
            never=mean([point["never"] for point in group]),
            seconds=mean([point["seconds"] for point in group]),
        )
        for (family, asked, rate), group in groups.items()
    ]


def best(points: Sequence[Point]) -> list[Point]:
    """For each point that was asked for, that of the learning rate with the lowest FVU.

    Where L0 is not asked for but comes out, the rate moves it too: there every rate is a point of the curve.
    """
    kept: dict[tuple[str, float, float | None], Point] = {}
    for point in points:
        key = (point["family"], point["asked"], point["rate"] if point["family"] in PENALTIES else 0.0)
        if key not in kept or point["fvu"] < kept[key]["fvu"]:
            kept[key] = point
    return list(kept.values())


def table(plan: Plan, results: dict[str, list[Point]]) -> str:
    """Every point, and for each of the others' our best FVU at its L0, relative to its own."""
    lines = [
        f"{plan['latents']} latents, batches of {plan['batch']}, {plan['steps']} steps, seeds {plan['seeds']}",
        f"{'family':<12}{'trainer':<22}{'asked':>8}{'rate':>8}{'L0':>8}{'FVU':>9}{'never':>8}{'s':>7}{'our best / its':>16}",
    ]
    for family in plan["points"]:
        ours = [point for point in results[OURS] if point["family"] == family]
        for trainer, points in results.items():
            for point in points:
                if point["family"] != family:
                    continue
                ratio = "" if trainer == OURS else _ratio(ours, point)
                rate = "default" if point["rate"] is None else f"{point['rate']:g}"
                lines.append(
                    f"{family:<12}{trainer:<22}{point['asked']:>8g}{rate:>8}{point['l0']:>8.1f}{point['fvu']:>9.4f}"
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
