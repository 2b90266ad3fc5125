"""The whole way: a spec, two sites, every process killed or left, and the result in SAELens's hands."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from saetui.activations import ActivationExtractor, Site, open_model, prepare_tokens
from saetui.client.blocking import ask, follow_job
from saetui.home import Home
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import GetJob, GetStatus, Submit
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from saetui.sae import load_saelens
from tests.conditions import eventually, lives
from tests.conftest import processes_of
from tests.peers.environment import run_saelens, saelens_python
from tests.training.runs import small_spec, write_text


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_text(tmp_path / "text.txt")


def submit(home: Home, spec: dict[str, Any]) -> Job:
    return ask(Submit(spec=spec), home).job


def job_now(home: Home, job: Job) -> Job:
    return ask(GetJob(job=job.id), home).job


def finish(home: Home, job: Job) -> Job:
    *_, last = follow_job(job.id, home)
    return last


def training_steps(job: Job) -> list[int]:
    reader = MetricReader(RunDirectory(Path(job.directory)).training_metrics)
    reader.poll()
    return [step for step, _, _ in reader.rows()]


def command_lines(home: Home) -> dict[int, str]:
    found = {}
    for pid in processes_of(home):
        try:
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


@pytest.mark.skipif(saelens_python() is None, reason="SAELens is not installed: make peers")
@pytest.mark.parametrize("architecture", ["topk", "standard"])
def test_two_sites_from_one_pass_load_in_saelens_and_agree_with_ours(
    home: Home, text: Path, tmp_path: Path, architecture: str
) -> None:
    spec = small_spec(text, layers=[1, 2], architecture=architecture)
    job = finish(home, submit(home, spec))
    assert job.status is Status.COMPLETED, job.error
    assert set(job.metrics) == {"layer_1.resid_post", "layer_2.resid_post"}

    model = open_model("bundled:tiny")
    data = prepare_tokens(str(text), model.tokenizer, context_length=64, cache_directory=home.cache)
    site_names = [path.name for path in RunDirectory(Path(job.directory)).results()]
    extractor = ActivationExtractor(model, [Site.parse(name) for name in site_names])
    passed = extractor(data.read(data.held_out[:4]))
    exchange, layers = tmp_path / "exchange", {name: int(name.removeprefix("layer_")[0]) for name in site_names}
    rows = {
        f"blocks.{layers[name]}.hook_resid_post": passed.values[name][passed.keep].float().contiguous()
        for name in site_names
    }
    for name in site_names:
        shutil.copytree(RunDirectory(Path(job.directory)).result(name), exchange / "ours" / name)
    save_file(rows, exchange / "activations.safetensors")
    run_saelens("saelens_load.py", exchange)
    theirs, facts = load_file(exchange / "results.safetensors"), json.loads((exchange / "facts.json").read_text())
    for name in site_names:
        hook = f"blocks.{layers[name]}.hook_resid_post"
        ours, x = load_saelens(exchange / "ours" / name), rows[hook]
        scale = float(x.norm(dim=1).mean())
        torch.testing.assert_close(theirs[f"{name}.z"], ours.encode(x), rtol=1e-5, atol=1e-5 * scale)
        torch.testing.assert_close(theirs[f"{name}.x_hat"], ours.reconstruct(x), rtol=1e-5, atol=1e-5 * scale)
        assert facts[name]["hook_name"] == hook
        assert facts[name]["model_name"] == "bundled:tiny"
        assert facts[name]["context_size"] == 64


def test_the_supervisor_is_killed_and_the_job_runs_on_is_found_again_and_ends_right(home: Home, text: Path) -> None:
    job = submit(home, small_spec(text, hyperparameters={"num_steps": 400, "checkpoint_interval": 400}))
    eventually(lambda: job_now(home, job).step > 0, 60)
    before = job_now(home, job)
    supervisor = ask(GetStatus(), home).pid
    trainers = [pid for pid, line in command_lines(home).items() if "-m saetui.training" in line]
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not lives(supervisor))
    assert any(lives(pid) for pid in trainers)
    again = job_now(home, job)
    assert ask(GetStatus(), home).pid != supervisor
    assert again.status is Status.RUNNING
    eventually(lambda: job_now(home, job).step > before.step, 60)
    ended = finish(home, job)
    assert ended.status is Status.COMPLETED, ended.error
    assert training_steps(ended) == list(range(10, 401, 10))


def test_neither_supervisor_nor_runner_loads_torch_and_the_trainer_does(home: Home, text: Path) -> None:
    job = submit(home, small_spec(text, hyperparameters={"num_steps": 400}))
    eventually(lambda: job_now(home, job).step > 0, 60)
    loaded = {
        line: "libtorch" in Path(f"/proc/{pid}/maps").read_text()
        for pid, line in command_lines(home).items()
        if lives(pid)
    }
    trainer = [has for line, has in loaded.items() if "-m saetui.training" in line and "runner.py" not in line]
    others = {line: has for line, has in loaded.items() if "runner.py" in line or "saetui.supervisor" in line}
    assert trainer == [True]
    assert len(others) == 2, loaded
    assert not any(others.values())


def test_a_killed_trainer_is_a_failed_job_that_says_so_and_the_next_in_the_queue_starts(home: Home, text: Path) -> None:
    first = submit(home, small_spec(text, name="first", hyperparameters={"num_steps": 2000}))
    second = submit(home, small_spec(text, name="second"))
    eventually(lambda: job_now(home, first).step > 0, 60)
    assert job_now(home, second).status is Status.QUEUED
    for pid, line in command_lines(home).items():
        if "-m saetui.training" in line and "runner.py" not in line:
            os.kill(pid, signal.SIGKILL)
    failed = finish(home, first)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert "SIGKILL" in failed.error.message
    assert failed.error.suggestion
    assert finish(home, second).status is Status.COMPLETED
