"""`saetui show`: everything about one job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from saetui.cli.jobs import state_of
from saetui.cli.output import Column, job_argument, json_option, print_facts, print_result, print_table, right
from saetui.client.blocking import ask
from saetui.display.dates import date_and_time
from saetui.display.figures import ABSENT, ago, duration, number, percent, short_count, size
from saetui.display.text import log_line, plain
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import GetJob
from saetui.rundir.checkpoints import CheckpointInfo, list_checkpoints
from saetui.rundir.events import LoggedEvent, read_events
from saetui.rundir.layout import RunDirectory
from saetui.rundir.log import last_lines
from saetui.rundir.metrics import MetricReader
from saetui.spec.hyperparameters import HYPERPARAMETERS, Value

Evaluation = dict[str, dict[str, float]]
"""For each site that was evaluated: the newest figures on held-out text, with their `step`."""

_EVENTS_SHOWN = 5
_TRACEBACK_HEAD = "Traceback (most recent call last)"
_TRACEBACK_BYTES = 64 << 10
_TRACEBACK_LINES = 30


@click.command()
@job_argument
@json_option
def show(job: str, as_json: bool) -> None:
    """Show one job: spec, state, metrics, checkpoints, results."""
    document = describe(ask(GetJob(job)).job)
    print_result(document.to_builtins(), as_json, document.print)


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A job with everything that its directory holds.

    Attributes:
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
        return document | {
            "spec": self.spec,
            "evaluation": self.evaluation,
            "checkpoints": [checkpoint_document(checkpoint) for checkpoint in self.checkpoints],
            "results": self.results,
            "events": msgspec.to_builtins(self.events),
            "traceback": self.traceback,
        }

    def print(self) -> None:
        """Print it for people."""
        job = self.job
        click.echo(f"{plain(job.name)}  {job.id}  {state_of(job)}\n")
        print_facts(_facts(job, self.spec))
        click.echo()
        print_sites(job, self.evaluation)
        if values := self.spec.get("hyperparameters"):
            click.echo("\nhyperparameters")
            print_facts((name, _shown(name, value)) for name, value in values.items())
        if self.checkpoints:
            click.echo("\ncheckpoints")
            print_facts(
                (f"step {checkpoint.step}", f"{size(checkpoint.size_bytes)}, {ago(checkpoint.created_at)}")
                for checkpoint in self.checkpoints
            )
        if self.results:
            click.echo("\nresults")
            print_facts(self.results.items())
        if self.events:
            click.echo("\nevents")
            print_facts((f"{date_and_time(event.time)}", event.message) for event in self.events[-_EVENTS_SHOWN:])
        if self.traceback is not None:
            click.echo("\ntraceback")
            for line in self.traceback.splitlines():
                click.echo(log_line(line))


def describe(job: Job) -> JobDocument:
    """Read a job's directory."""
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


def checkpoint_document(checkpoint: CheckpointInfo) -> dict[str, object]:
    """A checkpoint as `--json` prints it."""
    return {
        "step": checkpoint.step, "directory": str(checkpoint.path), "created_at": checkpoint.created_at,
        "size_bytes": checkpoint.size_bytes, "fvu": checkpoint.fvu, "l0": checkpoint.l0,
    }  # fmt: skip


def read_evaluation(run: RunDirectory, sites: Sequence[str]) -> Evaluation:
    """The newest evaluation of each site; sites without one are missing.

    Raises:
        FormatError: the log is not a metric log.
    """
    log = MetricReader(run.evaluation_metrics)
    log.poll()
    newest = {site: log.latest(site) for site in sites}
    return {site: {"step": found[0], **found[1]} for site, found in newest.items() if found is not None}


def print_sites(job: Job, evaluation: Mapping[str, Mapping[str, float]]) -> None:
    """Print one line for each site: the figures of the training now, and those on held-out text."""
    columns = right("LOSS", "L0", "FVU", "DEAD", "HELD-OUT FVU", "WITH SINKS", "HELD-OUT L0", "CE RECOVERED")
    rows = []
    for site in job.sites:
        now, held_out = job.metrics.get(site, {}), evaluation.get(site, {})
        training = [number(now.get(name)) for name in ("loss", "l0", "fvu")]
        tested = [number(held_out.get(name)) for name in ("fvu", "fvu_all", "l0")]
        rows.append(
            [site, *training, percent(now.get("dead_fraction")), *tested, percent(held_out.get("ce_recovered"))]
        )
    print_table([Column("SITE", gives_way=True), *columns], rows)


def last_traceback(log: Path) -> str | None:
    """The end of the last traceback in a trainer's log, 30 lines at most; None where the log has none."""
    lines = last_lines(log, _TRACEBACK_BYTES)
    heads = [number for number, line in enumerate(lines) if line.startswith(_TRACEBACK_HEAD)]
    return "\n".join(lines[heads[-1] :][-_TRACEBACK_LINES:]) if heads else None


def _facts(job: Job, spec: dict[str, Any]) -> list[tuple[str, str]]:
    dataset = spec.get("dataset", {})
    text = f"{dataset.get('source', ABSENT)}, contexts of {dataset.get('context_length', ABSENT)} tokens"
    steps = ABSENT if job.num_steps is None else str(job.num_steps)
    times = (("created", job.created_at), ("started", job.started_at), ("ended", job.ended_at))
    facts: list[tuple[str, str | None]] = [
        ("waits for", None if job.after is None else f"job {job.after}"),
        ("paused", "its memory is free; it resumes from its checkpoint" if job.unloaded else None),
        ("degraded", job.degraded),
        ("now", job.phase),
        ("model", job.model),
        ("dataset", text),
        ("architecture", job.architecture),
        ("step", f"{job.step} of {steps} ({percent(job.progress)})"),
        ("speed", None if job.tokens_per_second is None else f"{short_count(job.tokens_per_second)} tokens/s"),
        ("left", None if job.eta_seconds is None else duration(job.eta_seconds)),
        *((title, None if time is None else f"{ago(time)}  ({date_and_time(time)})") for title, time in times),
        ("elapsed", None if job.started_at is None else duration(job.elapsed_seconds())),
        ("directory", job.directory),
        ("error", None if job.error is None else job.error.message),
        ("try", None if job.error is None else job.error.suggestion),
    ]
    return [(title, value) for title, value in facts if value is not None]


def _shown(name: str, value: Value) -> str:
    """A value as the form shows it; one of another version, unknown here, as it is."""
    row = HYPERPARAMETERS.get(name)
    if row is None:
        return str(value)
    return row.none_means if value is None else row.show(value)
