"""The kill matrix's row of the trainer once more, with the real one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from saetui.client.blocking import ask
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import ResumeJobs, Submit
from saetui.rundir.checkpoints import newest_sound
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually
from tests.reliability.machine import ReliableMachine

pytest.importorskip("torch", reason="trains for real, which needs torch; make test runs it")

SITE = "layer_1.resid_post"
STEPS = 40
WAIT_SECONDS = 90.0


@pytest.mark.slow
def test_killed_while_it_starts_tokenises_saves_and_exports_the_real_trainer_loses_no_step(
    machine: ReliableMachine, tmp_path: Path
) -> None:
    from saetui.launch.local import TRAINER
    from tests.training.runs import small_spec, write_text

    kills = {
        "tokenising": "tokenising.run=kill",
        "keeping-tokens": "tokens.rename=kill",
        "starting": "events.append=kill@4",
        "saving": "manifest.rename=kill",
        "naming": "checkpoint.rename=kill",
        "exporting": "export.rename=kill",
    }
    machine.trainer = list(TRAINER)
    machine.failpoints = ";".join(f"{kill}!{tmp_path / token}" for token, kill in kills.items())
    machine.start()
    hyperparameters = {"num_steps": STEPS, "checkpoint_interval": 20, "log_interval": 5}
    spec = small_spec(write_text(tmp_path / "text.txt"), hyperparameters=hyperparameters)
    job = ask(Submit(spec), machine.home, start=False).job
    for token in kills:
        failed = end_of(machine, job.id)
        assert failed.status is Status.FAILED, failed.error
        # The first kill is that of the process that tokenises: the trainer says so and fails.
        assert failed.error is not None
        assert ("was ended by signal 9" if token == "tokenising" else "SIGKILL") in failed.error.message
        assert (tmp_path / token).exists()
        ask(ResumeJobs((job.id,)), machine.home, start=False)
    done = end_of(machine, job.id)
    assert (done.status, done.step) == (Status.COMPLETED, STEPS), done.error
    # The save that was killed before it had its name was whole, and is what the last try went on from.
    starts = [event.step or 0 for event in machine.events(job.id) if event.kind == "started"]
    assert starts == sorted(starts) and starts[-2:] == [20, STEPS]
    reader = MetricReader(machine.run(job.id).training_metrics)
    reader.poll()
    assert reader.series(SITE, "loss")[0] == list(range(5, STEPS + 1, 5))
    newest = newest_sound(machine.run(job.id).checkpoints)
    assert newest is not None and newest.step == STEPS
    assert [path.name for path in machine.run(job.id).sae.iterdir()] == [SITE]
    for path in machine.home.root.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))
    assert [path.name for path in (machine.home.cache / "tokens").iterdir() if path.name.startswith(".")] == []


def end_of(machine: ReliableMachine, job_id: str) -> Job:
    """The job when it has ended; its step may go back, to that of the checkpoint from which it goes on."""
    eventually(lambda: machine.job(job_id).status.ended, WAIT_SECONDS)
    return machine.job(job_id)
