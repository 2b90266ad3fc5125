"""The memory estimate beside the measured peak of real trainings, for each architecture at several sizes (CPU: resident set).

`python -m tests.benchmarks.memory` trains a few steps of each, on a random GPT-2 of the given width over real text, in a
process of its own, and prints estimate / measured: 1.00 to 1.10 is what is promised, below 1.00 never.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saetui.bundled import TINY
from saetui.child_processes import torch_environment
from saetui.home import Home
from saetui.rundir.layout import RunDirectory
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.estimates import estimate
from saetui.spec.validation import complete_spec
from tests.training.runs import make_run, write_text

SIZES = {
    "small": {"width": 256, "latents": 2048, "batch": 2048, "layers": [1]},
    "two sites": {"width": 256, "latents": 4096, "batch": 2048, "layers": [1, 2]},
    "large": {"width": 768, "latents": 6144, "batch": 4096, "layers": [1]},
}
STEPS = 20
"""So many that two checkpoints and evaluations lie among them, and the heap has found its size."""


@dataclass(frozen=True)
class Measured:
    """One training: what was foretold, and what it took; bytes."""

    architecture: str
    size: str
    estimated: int
    peak: int
    parts: dict[str, int]

    @property
    def ratio(self) -> float:
        return self.estimated / self.peak


def random_model(directory: Path, width: int, layers: int = 4) -> Path:
    """A GPT-2 with random weights and the bundled model's tokenizer."""
    if directory.exists():
        return directory
    script = (
        "import sys, torch; from transformers import GPT2Config, GPT2LMHeadModel; torch.manual_seed(0); "
        "GPT2LMHeadModel(GPT2Config(vocab_size=4096, n_positions=256, n_embd=int(sys.argv[2]), n_layer=int(sys.argv[3]), "
        "n_head=4)).save_pretrained(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", script, str(directory), str(width), str(layers)], check=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (TINY / name).exists():
            shutil.copy(TINY / name, directory / name)
    return directory


def measure(home: Home, model: Path, text: Path, architecture: str, size: str, **changes: Any) -> Measured:
    """Train, and read the peak of the process's resident set."""
    what = SIZES[size]
    spec = {
        "model": str(model),
        "dataset": {"source": str(text), "context_length": 128},
        "layers": what["layers"],
        "architecture": architecture,
        "hyperparameters": {
            "latent_dim": what["latents"], "batch_size": what["batch"], "num_steps": STEPS, "log_interval": 5,
            "eval_interval": STEPS // 2, "checkpoint_interval": STEPS // 2, **changes,
        },
        "device": "cpu",
    }  # fmt: skip
    ready = complete_spec(spec)
    foretold = estimate(ready.spec, ready.model)
    name = f"{architecture}-{size}".replace(" ", "-")
    shutil.rmtree(home.runs / name, ignore_errors=True)
    run = make_run(home, name, spec)
    peak = peak_of(home, run)
    return Measured(architecture, size, foretold.total_bytes, peak, foretold.parts)


def peak_of(home: Home, run: RunDirectory) -> int:
    """The most resident memory that the trainer of a run had, in bytes."""
    with open(run.log, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "saetui.training", str(run.path)],
            env=torch_environment({**os.environ, "SAETUI_HOME": str(home.root)}),
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, run.log.read_text()[-2000:]
    return usage.ru_maxrss * 1024


def main() -> None:
    """Print a line a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", nargs="*", default=list(ARCHITECTURES))
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wrong = 0
    for row in _rows(arguments.architectures, arguments.sizes):
        wrong += not 1.0 <= row.ratio <= 1.1
        if arguments.json:
            print(json.dumps({**row.__dict__, "ratio": row.ratio}), flush=True)
        else:
            print(
                f"{row.architecture:16}{row.size:12}{row.estimated / 1e6:10.0f} MB{row.peak / 1e6:10.0f} MB{row.ratio:8.3f}",
                flush=True,
            )
    sys.exit(1 if wrong else 0)


def _rows(architectures: list[str], sizes: list[str]) -> Iterator[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        home = Home(root / "home")
        text = write_text(root / "text.txt", files=60)
        for size in sizes:
            width = int(SIZES[size]["width"])  # type: ignore[call-overload]  # a mixed table
            model = random_model(root / f"model{width}", width)
            for architecture in architectures:
                yield measure(home, model, text, architecture, size)


if __name__ == "__main__":
    main()
