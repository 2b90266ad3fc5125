"""`saetui logs`: what a job's trainer wrote, made fit for a terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from saetui.cli.output import json_option, print_json, say
from saetui.client.blocking import ask
from saetui.display.figures import size
from saetui.display.text import log_line
from saetui.errors import FormatError
from saetui.jobs.job import Job
from saetui.protocol.messages import GetJob
from saetui.rundir.layout import RunDirectory
from saetui.rundir.log import LogReader

_SECONDS_BETWEEN_LOOKS = 0.25
_LOOKS_BETWEEN_QUESTIONS = 4
_LINES = 10_000
_LAST_BYTES = 4 << 20
"""Of a longer log only so much of its end is looked through, unless all lines are asked for."""


def _line_count(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    """A number of lines; None for all."""
    if value == "all":
        return None
    if not value.isascii() or not value.isdigit():
        raise click.BadParameter(f"{value!r} is not a number of lines; all prints every one.")
    return int(value)


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends; ctrl+c leaves.")
@click.option(
    "-n", "--lines", metavar="N|all", callback=_line_count, default=str(_LINES), show_default=True,
    help="How many of the newest lines, out of the newest 4 MiB of the log; all: everything that is kept.",
)  # fmt: skip
@json_option
def logs(job: str, follow: bool, lines: int | None, as_json: bool) -> None:
    """Print the end of what a job's trainer wrote.

    JOB is an id, a unique beginning of one, or a name. Escape sequences are shown, not sent. A log of more than 64 MiB
    loses its oldest part.
    """
    if as_json and (follow or lines is None):
        raise click.UsageError(
            "One JSON document holds no log without end; leave out --json, or --follow and --lines all."
        )
    found = ask(GetJob(job)).job
    reader = LogReader(RunDirectory(Path(found.directory)).log, None if lines is None else _LAST_BYTES)
    try:
        if lines is None:
            printed = _print_all(reader)
        else:
            newest = [*reader.read_all(), *([] if follow else reader.rest())]
            cut = newest[max(0, len(newest) - lines) :]
            printed = len(cut)
            if as_json:
                print_json({"job": found.id, "lines": [line.rstrip("\r") for line in cut]})
                return
            _say_left_out(reader, len(newest) - len(cut))
            _print(cut)
        if follow:
            _follow(found, reader)
        elif not printed:
            say("The log is empty so far." if not found.status.ended else "The log is empty.")
    except OSError as error:
        raise FormatError(f"{reader.path} cannot be read: {error.strerror}.", "Look at it.") from error


def _say_left_out(reader: LogReader, lines: int) -> None:
    if reader.left_out or lines:
        what = size(reader.left_out) if reader.left_out else f"{lines} lines"
        say(f"… {what} before this; --lines all prints what is kept, in {reader.path}")


def _print_all(reader: LogReader) -> int:
    printed = 0
    while lines := reader.read():
        _print(lines)
        printed += len(lines)
    _print(rest := reader.rest())
    return printed + len(rest)


def _follow(job: Job, log: LogReader) -> None:
    try:
        while not job.status.ended:
            for _ in range(_LOOKS_BETWEEN_QUESTIONS):
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                _print_new(log)
            job = ask(GetJob(job.id)).job
        _print_new(log)
        _print(log.rest())
    except KeyboardInterrupt:
        # How one leaves a log that is followed; the job goes on.
        say("")


def _print_new(log: LogReader) -> None:
    before = log.left_out
    lines = log.read_all()
    if log.left_out > before:
        say(f"… {size(log.left_out - before)} came too fast and are left out; they are in {log.path}")
    _print(lines)


def _print(lines: list[str]) -> None:
    for line in lines:
        click.echo(log_line(line))
