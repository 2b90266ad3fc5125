from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from saetui.bundled import TINY
from saetui.home import Home
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.events import read_events
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually
from tests.training.runs import make_run, small_spec, start_trainer, train, write_text

SITE = "layer_1.resid_post"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_text(tmp_path / "text.txt")


def weights(run: RunDirectory, site: str = SITE) -> bytes:
    return (run.result(site) / "sae_weights.safetensors").read_bytes()


def rows(path: Path) -> list[tuple[int, str, dict[str, float]]]:
    reader = MetricReader(path)
    reader.poll()
    return list(reader.rows())


def test_a_run_leaves_metrics_evaluation_checkpoints_and_a_result(home: Home, text: Path) -> None:
    run = train(home, "whole", small_spec(text))
    logged = rows(run.training_metrics)
    assert [step for step, _, _ in logged] == [10, 20, 30, 40]
    first, last = logged[0][2], logged[-1][2]
    assert last["fvu"] < 0.8 * first["fvu"]
    assert last["l0"] == 8
    assert {"loss", "recon_loss", "aux_loss", "l0_fraction", "r2", "dead", "learning_rate", "grad_norm"} <= last.keys()
    assert "sparsity_loss" not in last
    assert last["loss"] == pytest.approx(last["recon_loss"] + last["aux_loss"], rel=1e-5)
    (step, site, held_out), = rows(run.evaluation_metrics)  # fmt: skip
    assert (step, site) == (40, SITE)
    assert held_out["ce_clean"] < held_out["ce_sae"] < held_out["ce_zero"]
    recovered = (held_out["ce_zero"] - held_out["ce_sae"]) / (held_out["ce_zero"] - held_out["ce_clean"])
    assert held_out["ce_recovered"] == pytest.approx(recovered)
    density = [held_out[name] for name in held_out if name.startswith("density_")]
    assert sum(density) + held_out["never_fired"] == pytest.approx(1.0)
    job = [values for _, _, values in rows(run.job_metrics)]
    assert [values["tokens"] for values in job] == [2560, 5120, 7680, 10240]
    assert all(values["tokens_per_second"] > 0 and values["memory_bytes"] > 1e7 for values in job)
    # keep_first, keep_last 2 and keep_best of steps 15, 30, 40
    assert [checkpoint.step for checkpoint in list_checkpoints(run.checkpoints)] == [15, 30, 40]
    config = json.loads((run.result(SITE) / "cfg.json").read_text())
    assert config["architecture"] == "topk"
    assert config["metadata"]["hook_name"] == "blocks.1.hook_resid_post"
    assert config["metadata"]["saetui"]["step"] == 40
    own = config["metadata"]["saetui"]
    assert own["normalization"]["norm_limit"] > 0
    assert own["sink_fraction"] == own["held_out"]["sink_fraction"] == 0.0
    assert own["held_out"]["fvu_all"] == own["held_out"]["fvu"]
    events = read_events(run.events)
    phases = [event.data["name"] for event in events if event.kind == "phase"]
    assert phases[0] == "model" and {"tokens", "text"} & set(phases) and "scale" in phases
    assert phases[-3:] == ["evaluation", "saving", "export"]
    ended = events[-1]
    assert (ended.kind, ended.data["outcome"], ended.data["step"]) == ("ended", "completed", 40)


def test_a_stop_finishes_its_step_saves_and_exports_and_can_be_taken_up_again(home: Home, text: Path) -> None:
    spec = small_spec(text, hyperparameters={"num_steps": 60})
    undisturbed = train(home, "undisturbed", spec)
    run = make_run(home, "stopped", spec)
    trainer = start_trainer(home, run)
    eventually(lambda: rows(run.training_metrics), 60)
    trainer.terminate()
    assert trainer.wait(timeout=60) == 0, run.log.read_text()
    ended = read_events(run.events)[-1]
    assert ended.data["outcome"] == "stopped"
    reached = ended.data["step"]
    assert 10 <= reached < 60
    assert list_checkpoints(run.checkpoints)[-1].step == reached
    config = json.loads((run.result(SITE) / "cfg.json").read_text())
    assert config["metadata"]["saetui"]["step"] == reached
    assert start_trainer(home, run).wait(timeout=120) == 0, run.log.read_text()
    assert weights(run) == weights(undisturbed)
    assert rows(run.training_metrics) == rows(undisturbed.training_metrics)


def test_a_stop_before_the_first_step_ends_stopped(home: Home, text: Path) -> None:
    run = make_run(home, "early", small_spec(text))
    trainer = start_trainer(home, run)
    eventually(lambda: read_events(run.events), 60)
    trainer.terminate()
    assert trainer.wait(timeout=60) == 0
    ended = read_events(run.events)[-1].data
    assert ended["outcome"] == "stopped"


def test_sites_trained_together_equal_sites_trained_alone(home: Home, text: Path) -> None:
    together = train(home, "together", small_spec(text, layers=[0, 2], hook_points=["resid_post", "mlp_out"]))
    assert sorted(path.name for path in together.results()) == [
        "layer_0.mlp_out", "layer_0.resid_post", "layer_2.mlp_out", "layer_2.resid_post",
    ]  # fmt: skip
    alone = train(home, "alone", small_spec(text, layers=[2]))
    ours = load_file(together.result("layer_2.resid_post") / "sae_weights.safetensors")
    theirs = load_file(alone.result("layer_2.resid_post") / "sae_weights.safetensors")
    for name, tensor in ours.items():
        assert tensor.equal(theirs[name]), name


def test_micro_batches_change_nothing_beyond_rounding(home: Home, text: Path) -> None:
    whole = train(home, "whole", small_spec(text))
    pieces = train(home, "pieces", small_spec(text, hyperparameters={"micro_batch_size": 100}))
    for (step, _, ours), (other, _, theirs) in zip(
        rows(whole.training_metrics), rows(pieces.training_metrics), strict=True
    ):
        assert step == other
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)


def overflowing_model(directory: Path, factor: float) -> Path:
    """The bundled model with an MLP whose output is so many times as large."""
    shutil.copytree(TINY, directory)
    tensors = load_file(directory / "model.safetensors")
    name = next(key for key in tensors if key.endswith("h.1.mlp.c_proj.weight"))
    tensors[name] *= factor
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


@pytest.mark.parametrize(
    ("factor", "message", "suggestion"),
    [
        # Squares of such activations are beyond float32, then the activations themselves.
        (1e21, f"The loss of {SITE} was not finite at step 1 (tokens 0 to 256)", "learning rate"),
        (1e38, f"The model's activations at {SITE} are not finite", "dtype"),
    ],
)
def test_what_is_not_finite_ends_the_run_with_its_place_and_nothing_of_it_is_saved(
    factor: float, message: str, suggestion: str, home: Home, text: Path, tmp_path: Path
) -> None:
    model = overflowing_model(tmp_path / "overflowing", factor)
    spec = small_spec(text, model=str(model), hyperparameters={"normalize_activations": "none"})
    run = make_run(home, "wild", spec)
    assert start_trainer(home, run).wait(timeout=120) == 1
    error = read_events(run.events)[-1].data["error"]
    assert error["kind"] == "training"
    assert message in error["message"]
    assert suggestion in error["suggestion"]
    assert run.results() == []
    assert list_checkpoints(run.checkpoints) == []


@pytest.mark.parametrize(
    ("content", "words"), [("word " * 30, "context"), ("\n" * 4000, "text")], ids=["shorter than two contexts", "blank"]
)
def test_text_that_only_reading_shows_to_be_too_little_fails_with_the_way_out(
    home: Home, tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "little.txt"
    path.write_text(content)
    run = make_run(home, "little", small_spec(path))
    assert start_trainer(home, run).wait(timeout=60) == 1
    error = read_events(run.events)[-1].data["error"]
    assert error["kind"] == "dataset"
    assert words in error["message"]
    assert error["suggestion"]


def test_a_run_said_in_passes_ends_after_so_many(home: Home, text: Path) -> None:
    spec = small_spec(text)
    del spec["hyperparameters"]["num_steps"]
    spec["hyperparameters"]["num_epochs"] = 0.2
    run = train(home, "passes", spec)
    started = next(event for event in read_events(run.events) if event.kind == "started")
    assert started.data["num_steps"] == round(0.2 * started.data["dataset_tokens"] / 256)
    assert rows(run.job_metrics)[-1][2]["epoch"] == pytest.approx(0.2, abs=0.01)
