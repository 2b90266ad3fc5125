"""`saetui doctor`: what is wrong with this machine, and what to do."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from saetui.cli.health import (
    Finding,
    Verdict,
    good,
    look_at_home,
    look_at_limits,
    look_at_losses,
    look_at_memory,
    look_at_runs,
    look_at_session,
    look_at_terminal,
    problem,
    warning,
)
from saetui.cli.output import json_option, print_json, say, shows_colour
from saetui.cli.task import run_task
from saetui.client.blocking import ask
from saetui.display.text import plain
from saetui.errors import HomeError, NotFound, SaetuiError
from saetui.formats.names import is_id
from saetui.home import Home, find_home
from saetui.jobs.damage import NAME, acknowledge_damage
from saetui.protocol.messages import GetJob, GetJobs, GetStatus

_MARKS = {Verdict.GOOD: ("✓", "green"), Verdict.WARNING: ("!", "yellow"), Verdict.PROBLEM: ("✗", "red")}


@click.command()
@click.option("--acknowledge", is_flag=True, help="What damaged files have cost is known, and need not be said again.")
@json_option
def doctor(acknowledge: bool, as_json: bool) -> int:
    """What is wrong with this machine, and what to do.

    Exits with 1 when something will not work.
    """
    if acknowledge:
        _acknowledge(find_home())
    findings = list(_look(quiet=as_json))
    if as_json:
        print_json(findings)
    return 1 if any(finding.verdict is Verdict.PROBLEM for finding in findings) else 0


def _look(*, quiet: bool) -> Iterator[Finding]:
    """Every finding, printed as soon as it is made unless `quiet`."""
    home = find_home()
    parts: list[Iterable[Finding]] = [
        [good("python", platform.python_version())],
        look_at_torch(),
        look_at_memory(),
        look_at_home(home),
        look_at_supervisor(home),
        look_at_losses(home),
        look_at_session(),
        look_at_limits(),
        look_at_terminal(),
    ]
    for part in parts:
        for finding in part:
            if not quiet:
                _print(finding)
            yield finding


def _acknowledge(home: Home) -> None:
    try:
        acknowledge_damage(home.root)
    except OSError as error:
        raise HomeError(
            f"{home.root / NAME} cannot be removed: {error.strerror}.", "Give this user the right to write there."
        ) from error


def look_at_torch() -> Iterator[Finding]:
    """torch in a process of its own: its version, and each device tried with a product."""
    try:
        found = run_task("saetui.training.tasks.probe", {}, say)
    except SaetuiError as error:
        yield problem(
            "torch", error.message, 'Install it: on a Jetson NVIDIA\'s own wheel, elsewhere pip install "saetui[torch]"'
        )
        return
    yield from judge_torch(found, has_card=shutil.which("nvidia-smi") is not None)


def judge_torch(found: Mapping[str, Any], *, has_card: bool) -> Iterator[Finding]:
    """Findings from what `saetui.training.tasks.probe` found.

    Args:
        found: its result.
        has_card: whether NVIDIA's driver is installed.
    """
    yield good("torch", f"{found['torch']}, transformers {found['transformers']}")
    for device in found["devices"]:
        if device["works"]:
            half = "with bfloat16" if device["bfloat16"] else "without bfloat16"
            yield good("device", f"{device['name']}, {half}")
        else:
            yield problem("device", f"{device['name']} does not work: {device['why']}.",
                          "Choose another with -o device=cpu, or repair its driver.")  # fmt: skip
    if has_card and len(found["devices"]) == 1:
        reason = "torch was built without CUDA" if found["cuda_built"] is None else "its driver and torch do not fit"
        yield warning("device", f"An NVIDIA driver is here, and torch cannot use it: {reason}.",
                      "Install the torch that fits the driver (nvidia-smi names its CUDA version).")  # fmt: skip


def look_at_supervisor(home: Home) -> Iterator[Finding]:
    """Whether it answers, and what lies beside its jobs; it is started when it does not run, as every command does."""
    try:
        status = ask(GetStatus())
        known = _known_of(home)
    except SaetuiError as error:
        yield problem("supervisor", error.message, error.suggestion)
        yield from look_at_runs(home, None)
        return
    yield good("supervisor", f"process {status.pid}, {status.jobs_running} running, {status.jobs_queued} queued")
    for trouble in status.troubles:
        yield warning("supervisor", f"{trouble}; it is tried again.", f"Its log says more: {home.supervisor_log}")
    yield from look_at_runs(home, known)


def _known_of(home: Home) -> set[str]:
    """The ids of the jobs whose directories are there."""
    known = {job.id for job in ask(GetJobs()).jobs}
    for path in home.runs.iterdir():
        # Of thousands of jobs the list leaves out old ones, which are known all the same.
        if is_id(path.name) and path.name not in known and _is_known(path.name):
            known.add(path.name)
    return known


def _is_known(job_id: str) -> bool:
    try:
        ask(GetJob(job_id))
    except NotFound:
        return False
    return True


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.verdict]
    shown = click.style(mark, fg=colour) if shows_colour() else mark
    click.echo(f"{shown} {finding.subject:<11} {plain(finding.message)}")
    if finding.suggestion:
        click.echo(f"  {'':<11} → {plain(finding.suggestion)}")
