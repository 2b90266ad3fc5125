"""`saetui show`: everything about one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from saetui.cli.job_table import state_of
from saetui.cli.output import json_option, print_facts, print_json
from saetui.cli.site_table import Evaluation, print_sites, read_evaluation
from saetui.cli.traceback_tail import last_traceback
from saetui.client.blocking import ask
from saetui.display.figures import ABSENT, ago, duration, percent, short_count, size
from saetui.display.text import log_line, plain
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import GetJob
from saetui.rundir.checkpoints import CheckpointInfo, list_checkpoints
from saetui.rundir.events import LoggedEvent, read_events
from saetui.rundir.layout import RunDirectory
from saetui.spec.hyperparameters import HYPERPARAMETERS, Value

_EVENTS_SHOWN = 5


@click.command()
@click.argument("job")
@json_option
def show(job: str, as_json: bool) -> None:
    """Show one job: spec, state, metrics, checkpoints, results.

    JOB is an id, a unique beginning of one, or a name.
    """
    document = describe(ask(GetJob(job)).job)
    if as_json:
        print_json(document.to_builtins())
    else:
        document.print()


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A job with what its directory knows of it.

    Attributes:
        evaluation: for each site the newest figures on held-out text, and their step.
        traceback: of a failed job, the last one in its trainer's log.
    """

    job: Job
    spec: dict[str, Any]
    evaluation: Evaluation
    checkpoints: list[CheckpointInfo]
    results: dict[str, str]
    events: list[LoggedEvent]
    traceback: str | None

    def to_builtins(self) -> dict[str, Any]:
        """The job's document, the rest beside its fields."""
        document: dict[str, Any] = msgspec.to_builtins(self.job)
        checkpoints = [
            {
                "step": checkpoint.step,
                "directory": str(checkpoint.path),
                "created_at": checkpoint.created_at,
                "size_bytes": checkpoint.size_bytes,
                "fvu": checkpoint.fvu,
                "l0": checkpoint.l0,
            }
            for checkpoint in self.checkpoints
        ]
        return document | {
            "spec": self.spec,
            "evaluation": self.evaluation,
            "checkpoints": checkpoints,
            "results": self.results,
            "events": msgspec.to_builtins(self.events),
            "traceback": self.traceback,
        }

    def print(self) -> None:
        """Print it for people."""
        job = self.job
        click.echo(f"{plain(job.name)}  {job.id}  {state_of(job)}")
        click.echo()
        print_facts(_facts(job, self.spec))
        click.echo()
        print_sites(job, self.evaluation)
        _print_hyperparameters(self.spec)
        if self.checkpoints:
            _heading("checkpoints")
            print_facts(
                (f"step {checkpoint.step}", f"{size(checkpoint.size_bytes)}, {ago(checkpoint.created_at)}")
                for checkpoint in self.checkpoints
            )
        if self.results:
            _heading("results")
            print_facts(self.results.items())
        if self.events:
            _heading("events")
            print_facts((ago(event.time), event.message) for event in self.events[-_EVENTS_SHOWN:])
        if self.traceback is not None:
            _heading("traceback")
            for line in self.traceback.splitlines():
                click.echo(log_line(line))


def describe(job: Job) -> JobDocument:
    """Read what a job's directory holds."""
    run = RunDirectory(Path(job.directory))
    return JobDocument(
        job=job,
        spec=run.read_spec(),
        evaluation=read_evaluation(run, job.sites),
        checkpoints=list_checkpoints(run.checkpoints),
        results={path.name: str(path) for path in run.results()},
        events=read_events(run.events),
        traceback=last_traceback(run.log) if job.status is Status.FAILED else None,
    )


def _facts(job: Job, spec: dict[str, Any]) -> list[tuple[str, str]]:
    dataset = spec.get("dataset", {})
    steps = ABSENT if job.num_steps is None else str(job.num_steps)
    facts = [*_waiting_facts(job)]
    facts += [
        ("model", job.model),
        ("dataset", f"{dataset.get('source', ABSENT)}, contexts of {dataset.get('context_length', ABSENT)} tokens"),
        ("architecture", job.architecture),
        ("step", f"{job.step} of {steps} ({percent(job.progress)})"),
    ]
    if job.tokens_per_second is not None:
        facts.append(("speed", f"{short_count(job.tokens_per_second)} tokens/s"))
    if job.eta_seconds is not None:
        facts.append(("left", duration(job.eta_seconds)))
    times = (("created", job.created_at), ("started", job.started_at), ("ended", job.ended_at))
    facts += [(title, f"{ago(time)}  ({time})") for title, time in times if time is not None]
    facts.append(("directory", job.directory))
    if job.error is not None:
        facts.append(("error", job.error.message))
        if job.error.suggestion is not None:
            facts.append(("try", job.error.suggestion))
    return facts


def _waiting_facts(job: Job) -> list[tuple[str, str]]:
    """What a job waits for or has to do without."""
    facts = []
    if job.after is not None:
        facts.append(("waits for", f"job {job.after}"))
    if job.unloaded:
        facts.append(("paused", "its memory is free; it goes on from its checkpoint"))
    if job.degraded is not None:
        facts.append(("degraded", job.degraded))
    return facts


def _print_hyperparameters(spec: dict[str, Any]) -> None:
    values = spec.get("hyperparameters", {})
    if values:
        _heading("hyperparameters")
        print_facts((name, _shown(name, value)) for name, value in values.items())


def _shown(name: str, value: Value) -> str:
    """A value as the form shows it; one of an older version, unknown now, as it is."""
    row = HYPERPARAMETERS.get(name)
    if row is None:
        return str(value)
    return row.none_means if value is None else row.show(value)


def _heading(text: str) -> None:
    click.echo(f"\n{text}")
