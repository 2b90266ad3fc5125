"""Trainings of a second, and what they come to when nothing disturbs them, worked out once for all tests."""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from saetui.home import Home
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from saetui.spec.architectures import TRANSCODERS
from tests.training.runs import train, write_text

INTERVAL = 5
STEPS = 24
# With windows of a few steps latents die and are revived all the time, each architecture's own way.
OWN: dict[str, dict[str, Any]] = {
    "standard": {"l1_alpha": 0.5, "resample_steps": 7},
    "topk": {"k": 4, "aux_k_alpha": 0.5, "micro_batch_size": 40},
    "batch_topk": {"k": 4, "aux_k_alpha": 0.5},
    "jumprelu": {"l0_alpha": 0.05, "resample_steps": 6},
    "gated": {"l1_alpha": 0.5, "resample_steps": 7},
    "matryoshka": {"k": 4, "aux_k_alpha": 0.5},
    "skip": {"l1_alpha": 0.5, "ghost_grad_penalty": True},
    "transcoder": {"k": 4},
    "skip_transcoder": {"l1_alpha": 0.5, "resample_steps": 7, "micro_batch_size": 40},
}
SITES = {"topk": ("layer_0.resid_post", "layer_1.resid_post"), "skip_transcoder": ("layer_0.mlp_in", "layer_1.mlp_in")}
"""Of those that have two of them."""


def tiny_spec(text: Path, architecture: str = "topk", **hyperparameters: Any) -> dict[str, Any]:
    """24 steps of 64 tokens, a checkpoint every 5; `hyperparameters` on top."""
    sizes = {
        "latent_dim": 64, "batch_size": 64, "num_steps": STEPS, "learning_rate": 1e-3, "dead_neuron_window": 256,
        "checkpoint_interval": INTERVAL, "eval_interval": 12, "log_interval": 4,
    }  # fmt: skip
    return {
        "model": "bundled:tiny",
        "dataset": {"source": str(text), "context_length": 32},
        "architecture": architecture,
        "layers": [0, 1] if architecture in SITES else [1],
        "hook_points": ["mlp_in"] if architecture in TRANSCODERS else ["resid_post"],
        "hyperparameters": sizes | OWN[architecture] | hyperparameters,
    }


def tiny_text(directory: Path) -> Path:
    """What tiny trainings read."""
    return write_text(directory / "text.txt", files=3)


def undisturbed(architecture: str = "topk", **hyperparameters: Any) -> RunDirectory:
    """The same training from its start to its end with nothing in between; only to be read."""
    return _trained(architecture, json.dumps(hyperparameters, sort_keys=True))


def results(run: RunDirectory) -> dict[str, bytes]:
    """The weights of every site, to the bit."""
    return {path.name: (path / "sae_weights.safetensors").read_bytes() for path in run.results()}


def history(run: RunDirectory) -> list[tuple[int, str, dict[str, float]]]:
    """Every row of training and evaluation."""
    return [row for path in (run.training_metrics, run.evaluation_metrics) for row in rows(path)]


def rows(path: Path) -> list[tuple[int, str, dict[str, float]]]:
    """Every row of a metric log."""
    reader = MetricReader(path)
    reader.poll()
    return list(reader.rows())


@cache
def _trained(architecture: str, hyperparameters: str) -> RunDirectory:
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    place = Path(directory.name)
    spec = tiny_spec(tiny_text(place), architecture, **json.loads(hyperparameters))
    return train(Home(place / "home"), "undisturbed", spec)
