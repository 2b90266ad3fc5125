"""Short real runs on the bundled model, over a little real text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saetui.bundled import stdlib_files
from saetui.home import Home
from saetui.rundir.layout import RunDirectory
from saetui.spec.training_spec import spec_json
from saetui.spec.validation import complete_spec
from tests.training.zygote import Trainer, zygote


def write_text(path: Path, files: int = 12) -> Path:
    """Some 200 KB of Python source in one file."""
    path.write_text(
        "\n".join(file.read_text(encoding="utf-8", errors="replace")[:20_000] for file in stdlib_files()[:files])
    )
    return path


def small_spec(text: Path, **changes: Any) -> dict[str, Any]:
    """A spec of 40 small steps; `hyperparameters` are merged into its own."""
    hyperparameters = {
        "latent_dim": 256, "k": 8, "batch_size": 256, "num_steps": 40, "learning_rate": 1e-3, "dead_neuron_window": 1024,
        "checkpoint_interval": 15, "eval_interval": 40, "log_interval": 10, **changes.pop("hyperparameters", {}),
    }  # fmt: skip
    if changes.get("architecture") == "standard":
        hyperparameters.pop("k")
    return {
        "model": "bundled:tiny",
        "dataset": {"source": str(text), "context_length": 64},
        "layers": [1],
        "hyperparameters": hyperparameters,
        **changes,
    }


def make_run(home: Home, name: str, spec: dict[str, Any]) -> RunDirectory:
    """A job's directory as the supervisor makes it."""
    home.make()
    run = RunDirectory(home.runs / name)
    run.create(spec_json(complete_spec(spec).spec))
    return run


def start_trainer(home: Home, run: RunDirectory, **environment: str) -> Trainer:
    """The real trainer on a run, a process of its own, on one thread, its words in trainer.log."""
    return zygote().start(run.path, run.log, {"SAETUI_HOME": str(home.root), **environment})


def train(home: Home, name: str, spec: dict[str, Any]) -> RunDirectory:
    """A run from its start to its end, which must be good."""
    run = make_run(home, name, spec)
    assert start_trainer(home, run).wait(timeout=180) == 0, run.log.read_text()
    return run
