"""Every row of the table is used: changing it alone changes the training. A new row without a case here fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from saetui.home import Home
from saetui.rundir.checkpoints import CheckpointInfo, list_checkpoints
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from saetui.rundir.retention import superfluous
from saetui.spec.hyperparameters import HYPERPARAMETERS
from saetui.training.saving import rules_of
from tests.training.runs import small_spec, train, write_text
from tests.training.trainers import fresh, small, take_steps


@dataclass(frozen=True)
class Changed:
    """A hyperparameter set to `value` in a training of `architecture`.

    Attributes:
        beside: what is set in any case.
        instead_of: another word for the same quantity, which the change replaces.
        in_metrics: it changes what is counted, and not what is learned.
    """

    architecture: str
    value: Any
    beside: dict[str, Any] = field(default_factory=dict)
    instead_of: str | None = None
    in_metrics: bool = False

    @property
    def without(self) -> dict[str, Any]:
        """What the change drops."""
        return {} if self.instead_of is None else {self.instead_of: None}


STEP_CASES = {
    "expansion_factor": Changed("topk", 2.0, instead_of="latent_dim"),
    "latent_dim": Changed("topk", 48),
    "batch_size": Changed("topk", 64),
    "num_steps": Changed("topk", 15),
    "num_tokens": Changed("topk", 1000, instead_of="num_steps"),
    "num_epochs": Changed("topk", 1.5, instead_of="num_steps"),
    "k": Changed("topk", 6),
    "top_k_sparsity": Changed("topk", 10.0, instead_of="k"),
    "l1_alpha": Changed("standard", 0.05),
    "l0_alpha": Changed("jumprelu", 0.01),
    "sparsity_mode": Changed("jumprelu", "tanh"),
    "l0_target": Changed("jumprelu", 2.0, {"sparsity_mode": "quadratic"}),
    "bandwidth": Changed("jumprelu", 0.1),
    "initial_threshold": Changed("jumprelu", 0.3),
    "pre_activation_alpha": Changed("jumprelu", 0.01, {"initial_threshold": 2.0, "dead_neuron_window": 128}),
    "matryoshka_widths": Changed("matryoshka", "8,32,64"),
    "skip_coeff": Changed("skip", 0.4),
    "aux_k": Changed("topk", 2, {"k": 1, "dead_neuron_window": 128}),
    "aux_k_alpha": Changed("topk", 0.5, {"k": 1, "dead_neuron_window": 128}),
    "sparsity_warmup_steps": Changed("standard", 10),
    "tie_weights": Changed("standard", True),
    "decoder_norm": Changed("topk", "free"),
    "normalize_activations": Changed("topk", "none"),
    "max_activation_norm": Changed("topk", 1.2),
    "learning_rate": Changed("topk", 1e-3),
    "optimizer": Changed("topk", "sgd"),
    "lr_schedule": Changed("topk", "cosine"),
    "warmup_steps": Changed("topk", 7),
    "decay_fraction": Changed("topk", 0.5),
    "grad_clip_norm": Changed("topk", 0.01),
    "weight_decay": Changed("topk", 0.1),
    "dead_neuron_threshold": Changed("topk", 0.5, in_metrics=True),
    "dead_neuron_window": Changed("topk", 128, {"k": 1}),
    "resample_steps": Changed("standard", 10, {"l1_alpha": 20.0, "dead_neuron_window": 128, "learning_rate": 0.05}),
    "ghost_grad_penalty": Changed(
        "standard", True, {"l1_alpha": 20.0, "dead_neuron_window": 128, "learning_rate": 0.05}
    ),
}
PIECES = "micro_batch_size"
FVU = [0.1, 0.5, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
"""Held-out, of checkpoints one step apart: the best after the warm-up is neither the first nor among the newest."""
RUN_CASES: dict[str, Any] = {"checkpoint_interval": 3, "log_interval": 3, "eval_interval": 4}
KEEP_CASES: dict[str, Any] = {"keep_first": False, "keep_last": 3, "keep_every": 4, "keep_best": False}


def test_every_row_of_the_table_has_a_case() -> None:
    assert {*STEP_CASES, *RUN_CASES, *KEEP_CASES, PIECES} == set(HYPERPARAMETERS)


@pytest.mark.parametrize("name", STEP_CASES)
def test_a_change_changes_what_is_learned(name: str) -> None:
    case = STEP_CASES[name]
    assert case.architecture in HYPERPARAMETERS[name].architectures
    changed = {**case.beside, **case.without, name: case.value}
    (weights, metrics), (other_weights, other_metrics) = (
        _learned(case.architecture, case.beside),
        _learned(case.architecture, changed),
    )
    assert weights != other_weights or (case.in_metrics and metrics != other_metrics)


def test_a_smaller_micro_batch_takes_smaller_pieces() -> None:
    spec, settings = small("topk", micro_batch_size=50, num_steps=1)
    trainer = fresh(spec, settings)
    seen = []
    whole = trainer.sae.loss

    def loss(x: torch.Tensor, *arguments: Any, **others: Any) -> Any:
        seen.append(len(x))
        return whole(x, *arguments, **others)

    trainer.sae.loss = loss  # type: ignore[method-assign]  # the real one, with somebody who counts
    take_steps(trainer, spec, settings)
    assert seen == [50, 50, 28]


@pytest.mark.parametrize("name", KEEP_CASES)
def test_a_change_changes_what_is_kept(name: str) -> None:
    saved = [CheckpointInfo(step, Path(f"step_{step}"), "", 1, fvu) for step, fvu in enumerate(FVU, start=1)]
    _, usual = small("topk", warmup_steps=1)
    _, changed = small("topk", warmup_steps=1, **{name: KEEP_CASES[name]})
    assert superfluous(saved, rules_of(changed)) != superfluous(saved, rules_of(usual))


@pytest.mark.parametrize("name", RUN_CASES)
def test_a_change_changes_what_is_recorded_and_saved(
    name: str, usual_run: RunDirectory, home: Home, tmp_path: Path
) -> None:
    spec = _run_spec(tmp_path, **{name: RUN_CASES[name]})
    assert _recorded(train(home, "changed", spec)) != _recorded(usual_run)


@pytest.fixture(scope="module")
def usual_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with none of them changed."""
    directory = tmp_path_factory.mktemp("usual")
    return train(Home(directory / "home"), "usual", _run_spec(directory))


def _run_spec(directory: Path, **hyperparameters: Any) -> dict[str, Any]:
    usual = {
        "num_steps": 12, "checkpoint_interval": 4, "eval_interval": 6, "log_interval": 4, "k": 4, "latent_dim": 64,
        "keep_last": 10,
    }  # fmt: skip
    text = write_text(directory / "text.txt", files=3)
    return small_spec(text, hyperparameters={**usual, **hyperparameters})


def _recorded(run: RunDirectory) -> tuple[list[int], list[int], list[int]]:
    """The steps of the checkpoints, of the rows, and of the evaluations."""
    kept = [checkpoint.step for checkpoint in list_checkpoints(run.checkpoints)]
    return kept, _steps(run.training_metrics), _steps(run.evaluation_metrics)


def _steps(path: Path) -> list[int]:
    reader = MetricReader(path)
    reader.poll()
    return [step for step, _, _ in reader.rows()]


def _learned(architecture: str, hyperparameters: dict[str, Any]) -> tuple[object, object]:
    return _cached(architecture, tuple(sorted(hyperparameters.items(), key=lambda item: item[0])))


@cache
def _cached(architecture: str, hyperparameters: tuple[tuple[str, Any], ...]) -> tuple[object, object]:
    """All weights of a training, and its metrics."""
    spec, settings = small(architecture, **dict(hyperparameters))
    trainer = fresh(spec, settings)
    rows = take_steps(trainer, spec, settings)
    return {name: tensor.tolist() for name, tensor in trainer.sae.state_dict().items()}, rows
