"""`saetui doctor`: what is wrong with this machine, and what to do."""

from __future__ import annotations

import platform
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

import click

from saetui.cli.checks.computing import check_torch
from saetui.cli.checks.finding import Finding, Verdict, good
from saetui.cli.checks.home import check_home, check_losses
from saetui.cli.checks.hub import check_hub
from saetui.cli.checks.login import check_limits, check_logout
from saetui.cli.checks.machine import check_machine
from saetui.cli.checks.supervisor import check_socket, check_supervisor
from saetui.cli.checks.terminal import check_terminal
from saetui.cli.output import json_option, print_json, print_result, shows_colour
from saetui.display.text import plain
from saetui.errors import HomeError
from saetui.home import Home, find_home
from saetui.jobs.damage import NAME, acknowledge_damage
from saetui.torch_import import import_torch
from saetui.torch_packages import constraints as constraints_for
from saetui.torch_packages import installed

_MARKS = {Verdict.GOOD: ("✓", "green"), Verdict.WARNING: ("!", "yellow"), Verdict.PROBLEM: ("✗", "red")}
_SUBJECT = 10
_BEFORE = 9 + 2 + _SUBJECT + 2
"""Cells before a message: the mark with its word, and the subject."""
_NARROWEST = 24


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
    else:
        _print_sum(findings)
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
    yield from check_home(home)
    yield from check_machine(home)
    yield from check_hub()
    yield from check_supervisor(home)
    yield from check_socket(home)
    yield from check_losses(home)
    yield from check_logout(home)
    yield from check_limits()
    yield from check_terminal()


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.verdict]
    word = f"{mark} {finding.verdict.value:<7}"
    shown = click.style(word, fg=colour) if shows_colour() else word
    first, *more = _lines(finding.message)
    click.echo(f"{shown}  {finding.subject:<{_SUBJECT}}  {first}")
    if finding.suggestion:
        more += [("  " if number else "→ ") + line for number, line in enumerate(_lines(finding.suggestion, 2))]
    for line in more:
        click.echo(" " * _BEFORE + line)


def _lines(text: str, indent: int = 0) -> list[str]:
    """The text in lines that fit a terminal, aligned. Elsewhere it stays one line: nothing is cut, and commands can be copied."""
    if not sys.stdout.isatty():
        return [plain(text)]
    room = max(_NARROWEST, shutil.get_terminal_size().columns - _BEFORE - indent)
    return textwrap.wrap(plain(text), room, break_long_words=False, break_on_hyphens=False) or [""]


def _print_sum(findings: Sequence[Finding]) -> None:
    """One line on all of it."""
    counts = Counter(finding.verdict for finding in findings)
    parts = [
        f"{counts[verdict]} {verdict.value}{'s' if counts[verdict] > 1 else ''}"
        for verdict in (Verdict.PROBLEM, Verdict.WARNING)
        if counts[verdict]
    ]
    click.echo(f"\n{', '.join(parts)}. An arrow says what to do." if parts else "\nNothing is wrong.")
