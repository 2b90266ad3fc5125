"""Run directories with the figures that a real training would have written, the same on every run."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from saetui.jobs.job import DesiredState, Job, JobError, Status
from saetui.rundir.events import LoggedEvent
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter

TRAINING_COLUMNS = (
    "loss", "recon_loss", "sparsity_loss", "l0", "l0_fraction", "fvu", "r2", "l1", "dead", "dead_fraction",
    "learning_rate", "sparsity_coefficient", "grad_norm",
)  # fmt: skip
HELD_OUT_COLUMNS = ("fvu", "l0", "dead_fraction", "ce_recovered")
JOB_COLUMNS = ("tokens_per_second", "tokens", "memory_bytes", "seconds", "num_steps")


class RunMaker:
    """Writes one job's directory, step by step."""

    def __init__(self, home: Path, job: Job, seed: int = 0) -> None:
        self.run = RunDirectory(Path(job.directory))
        self.job = job
        self.step = 0
        self._events = 0
        self._random = random.Random(seed)
        home.mkdir(parents=True, exist_ok=True)
        self.run.path.parent.mkdir(parents=True, exist_ok=True)
        self.run.create(spec_of(job))
        self._training = MetricWriter(self.run.training_metrics, job.sites, TRAINING_COLUMNS)
        self._held_out = MetricWriter(self.run.evaluation_metrics, job.sites, HELD_OUT_COLUMNS)
        self._job = MetricWriter(self.run.job_metrics, ("job",), JOB_COLUMNS)

    def event(self, kind: str, message: str, *, step: int | None = None) -> None:
        """An event; its time is fixed, so that pictures of it stay the same."""
        self._events += 1
        time = f"2026-11-21T10:00:{self._events:02d}.000Z"
        event = LoggedEvent(time=time, kind=kind, message=message, step=step)
        with self.run.events.open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")

    def train(self, until: int, every: int = 10) -> dict[str, dict[str, float]]:
        """Write rows up to a step; the newest figures of each site."""
        total = self.job.num_steps or until
        latest: dict[str, dict[str, float]] = {}
        while self.step + every <= until:
            self.step += every
            done = self.step / total
            for index, site in enumerate(self.job.sites):
                latest[site] = self._figures(done, index)
                self._training.append(self.step, site, latest[site])
                if self.step % (every * 25) == 0:
                    fvu = latest[site]["fvu"] * 1.06
                    self._held_out.append(self.step, site, {"fvu": fvu, "l0": 32.0, "ce_recovered": 1 - fvu})
            self._job.append(self.step, "job", {"tokens_per_second": 11800 + 900 * self._random.random()})
        return latest

    def _figures(self, done: float, site: int) -> dict[str, float]:
        noise = self._random.random
        fvu = 0.08 + 0.02 * site + 0.9 * math.exp(-done * 18) + 0.012 * noise()
        dead = max(0.0, 0.12 * math.exp(-((done - 0.2) ** 2) / 0.02)) + 0.004 * noise()
        rate = 1e-3 * min(1.0, done / 0.02) * min(1.0, (1 - done) / 0.2 if done > 0.8 else 1.0)
        return {
            "loss": fvu * 0.9,
            "recon_loss": fvu * 0.88,
            "l0": 32.0 + (200 * math.exp(-done * 40) if self.job.architecture == "standard" else 0) + noise(),
            "fvu": fvu,
            "r2": 1 - fvu,
            "dead": float(int(dead * 2048)),
            "dead_fraction": dead,
            "learning_rate": rate,
            "grad_norm": 0.2 + 0.1 * noise(),
        }


def make_job(
    home: Path,
    number: int,
    status: Status = Status.RUNNING,
    *,
    name: str = "",
    layers: Sequence[int] = (2,),
    step: int = 0,
    num_steps: int = 2000,
    error: JobError | None = None,
    architecture: str = "topk",
) -> Job:
    """A job as the supervisor would send it, with a directory's path below `home`; times are fixed."""
    job_id = f"job{number:05d}"
    running = status is Status.RUNNING
    return Job(
        id=job_id,
        name=name or f"tiny-l2-{architecture}-{number}",
        status=status,
        architecture=architecture,
        model="bundled:tiny",
        layers=tuple(layers),
        hook_points=("resid_post",),
        directory=str(home / "runs" / job_id),
        created_at=f"2026-11-21T10:{number % 60:02d}:00Z",
        step=step,
        num_steps=num_steps,
        progress=step / num_steps,
        tokens_per_second=12300.0 if running else None,
        eta_seconds=185.0 if running else None,
        error=error,
        started_at="2026-11-21T10:00:00Z" if status is not Status.QUEUED else None,
        ended_at="2026-11-21T10:20:00Z" if status.ended else None,
    )


def busy_home(home: Path) -> list[Job]:
    """A job in every state, with figures, odd names and an error; what a full screen shows."""
    return [
        _with_figures(home, make_job(home, 1, Status.COMPLETED, name="demo", step=2000)),
        _with_figures(
            home,
            make_job(home, 2, Status.FAILED, name="gemma-l12", step=300, architecture="standard", error=NOT_FINITE),
        ),
        _with_figures(home, make_job(home, 3, Status.STOPPED, step=900)),
        _with_figures(home, make_job(home, 4, name="tiny-l1,2,3-topk", layers=(1, 2, 3), step=760)),
        _with_figures(home, make_job(home, 5, Status.QUEUED, name="sweep-k-64")),
        _with_figures(home, make_job(home, 6, Status.QUEUED, name=HOSTILE_NAME)),
        _with_figures(home, make_job(home, 7, Status.LOST, step=120)),
    ]


def restless_home(home: Path) -> list[Job]:
    """Jobs between two states: paused and on the way there, degraded, waiting for each other."""

    def job(number: int, status: Status, name: str, **fields: Any) -> Job:
        made = make_job(home, number, status, name=name, step=fields.pop("step", 400 + 100 * number))
        return _with_figures(home, msgspec.structs.replace(made, **fields))

    no_room = "No space left on device: the training goes on without saving, and tries again"
    cache = job(5, Status.QUEUED, "cache-gemma", step=0, queue_rank=2)
    return [
        job(1, Status.RUNNING, "no-room", degraded=no_room),
        job(2, Status.RUNNING, "soon-quiet", desired_state=DesiredState.PAUSE),
        job(3, Status.PAUSED, "held", desired_state=DesiredState.PAUSE),
        job(4, Status.PAUSED, "memory-free", unloaded=True),
        cache,
        job(6, Status.QUEUED, "first-in-line", step=0, queue_rank=1),
        job(7, Status.QUEUED, "after-the-cache", step=0, queue_rank=3, after=cache.id),
        job(8, Status.STOPPING, "last-words"),
        job(9, Status.FAILED, "killed", error=COMES_BACK),
    ]


COMES_BACK = JobError(
    kind="killed",
    message="The machine ran out of memory and the kernel killed the trainer (SIGKILL).",
    suggestion="It starts again by itself after 30 s (try 1 of 3).",
)
HOSTILE_NAME = "名前\x1b[31mred\u202egnp.exe " + "and on " * 25
NOT_FINITE = JobError(
    kind="training",
    message="The loss became not finite at step 310 (batch 310).",
    suggestion="Lower learning_rate, or resume from the checkpoint of step 300.",
)


def _with_figures(home: Path, job: Job) -> Job:
    maker = RunMaker(home, job, seed=int(job.id[3:]))
    maker.event("phase", "Loading the model bundled:tiny.")
    if not job.step:
        return job
    maker.event("started", "Training begins: 2,000 steps of 2,048 tokens on CPU.", step=0)
    maker.event("warning", "12.4 % of the latents of layer_2.resid_post are dead; AuxK revives them.", step=300)
    maker.run.log.write_text(
        "".join(f"10:00:{line % 60:02d} step {line * 10} of the training\n" for line in range(200))
    )
    return msgspec.structs.replace(job, metrics=maker.train(job.step))


def spec_of(job: Job) -> dict[str, object]:
    return {
        "name": job.name,
        "model": job.model,
        "dataset": {"source": "bundled:stdlib", "split": "train", "text_field": "text", "context_length": 128},
        "layers": list(job.layers),
        "hook_points": list(job.hook_points),
        "architecture": job.architecture,
        "hyperparameters": {"expansion_factor": 8, "k": 32, "batch_size": 2048, "num_steps": job.num_steps},
        "device": "auto",
        "dtype": "auto",
        "seed": 0,
    }
