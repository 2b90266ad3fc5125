"""`saetui doctor`: what is wrong with this machine, and what to do."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import click

from saetui.cli import health
from saetui.cli.health import Finding, Verdict, good, problem, warning
from saetui.cli.output import json_option, note, print_json, print_result, shows_colour
from saetui.cli.task import run_task
from saetui.client.blocking import ask
from saetui.display.text import plain
from saetui.errors import HomeError, NotFound, SaetuiError
from saetui.formats.names import is_id
from saetui.home import Home, find_home
from saetui.jobs.damage import NAME, acknowledge_damage
from saetui.protocol.messages import GetJob, GetJobs, GetStatus
from saetui.torch_import import import_torch
from saetui.torch_packages import constraints as constraints_for
from saetui.torch_packages import installed

_MARKS = {Verdict.GOOD: ("✓", "green"), Verdict.WARNING: ("!", "yellow"), Verdict.PROBLEM: ("✗", "red")}


@click.command()
@click.option("--acknowledge", is_flag=True, help="Do not report again what damaged files have cost.")
@click.option("--constraints", is_flag=True, help="Print for pip what fits the torch that is here, and check nothing.")
@json_option
def doctor(acknowledge: bool, constraints: bool, as_json: bool) -> int:
    """Find what is wrong with this machine, and what to do.

    Exits with 1 when something will not work.
    """
    if constraints:
        return _print_constraints(as_json)
    home = find_home()
    if acknowledge:
        try:
            acknowledge_damage(home.root)
        except OSError as error:
            message = f"{home.root / NAME} cannot be removed: {error.strerror}."
            raise HomeError(message, "Give this user the right to write there.") from error
    findings = []
    for finding in _check_everything(home):
        findings.append(finding)
        if not as_json:
            # At once: some checks take seconds.
            _print(finding)
    if as_json:
        print_json(findings)
    return 1 if any(finding.verdict is Verdict.PROBLEM for finding in findings) else 0


def _print_constraints(as_json: bool) -> int:
    found = installed()
    # What a torch and a numpy do together is only known once it was tried.
    works = import_torch(alone=True).numpy_works if found.torch is not None and found.numpy is not None else None
    lines = constraints_for(found, numpy_works=works)
    print_result(lines, as_json, "\n".join(lines))
    return 0


def _check_everything(home: Home) -> Iterator[Finding]:
    yield good("python", platform.python_version())
    yield from check_torch()
    yield from health.check_memory()
    yield from health.check_home(home)
    yield from check_supervisor(home)
    yield from health.check_losses(home)
    yield from health.check_logout()
    yield from health.check_limits()
    yield from health.check_terminal()


def check_torch() -> Iterator[Finding]:
    """The version of torch, and each device after a trial product, from a process of its own."""
    try:
        found = run_task("saetui.training.tasks.probe", {}, note)
    except SaetuiError as error:
        yield problem("torch", error.message, error.suggestion)
        return
    yield from torch_findings(found, has_card=shutil.which("nvidia-smi") is not None)


def torch_findings(found: Mapping[str, Any], *, has_card: bool) -> Iterator[Finding]:
    """Findings from the result of `saetui.training.tasks.probe`. `has_card`: NVIDIA's driver is installed."""
    yield good("torch", f"{found['torch']}, transformers {found['transformers']}")
    for device in found["devices"]:
        if device["works"]:
            yield good("device", f"{device['name']}, {'with' if device['bfloat16'] else 'without'} bfloat16")
        else:
            message = f"{device['name']} does not work: {device['why']}."
            yield problem("device", message, "Choose another with -o device=cpu, or repair its driver.")
    if has_card and len(found["devices"]) == 1:
        reason = "torch was built without CUDA" if found["cuda_built"] is None else "its driver and torch do not fit"
        yield warning("device", f"An NVIDIA driver is here, and torch cannot use it: {reason}.",
                      "Install the torch that fits the driver (nvidia-smi names its CUDA version).")  # fmt: skip


def check_supervisor(home: Home) -> Iterator[Finding]:
    """Whether the supervisor answers, and what else lies in `runs/`. It is started when it does not run."""
    try:
        status = ask(GetStatus())
        known = _known_jobs(home)
    except SaetuiError as error:
        yield problem("supervisor", error.message, error.suggestion)
        yield from health.check_runs(home, None)
        return
    yield good("supervisor", f"process {status.pid}, {status.jobs_running} running, {status.jobs_queued} queued")
    for trouble in status.troubles:
        yield warning("supervisor", f"{trouble}; it is tried again.", f"Its log says more: {home.supervisor_log}")
    yield from health.check_runs(home, known)


def _known_jobs(home: Home) -> set[str]:
    """The ids of the jobs whose directories exist."""
    known = {job.id for job in ask(GetJobs()).jobs}
    for path in home.runs.iterdir():
        # A list of thousands of jobs leaves out old ones, which the supervisor knows all the same.
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
