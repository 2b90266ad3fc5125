"""`saetui logs`: the log of a job's trainer, made safe for a terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from saetui.cli.output import job_argument, json_option, note, print_json
from saetui.client.blocking import ask
from saetui.display.figures import size
from saetui.display.text import log_line
from saetui.errors import FormatError
from saetui.jobs.job import Job
from saetui.protocol.messages import GetJob
from saetui.rundir.layout import RunDirectory
from saetui.rundir.log import LogReader

_SECONDS_BETWEEN_READS = 0.25
_READS_BETWEEN_REQUESTS = 4
_LINES = 10_000
_LAST_BYTES = 4 << 20
"""Only so much of the end of a longer log is read, unless all lines are asked for."""


def _line_count(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    """A number of lines; None for all."""
    if value == "all":
        return None
    if not value.isascii() or not value.isdigit():
        raise click.BadParameter(f"{value!r} is not a number of lines; all prints every one.")
    return int(value)


@click.command()
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Print new lines until the job ends; ctrl+c leaves.")
@click.option(
    "-n", "--lines", metavar="N|all", callback=_line_count, default=str(_LINES), show_default=True,
    help="Print so many of the newest lines, out of the newest 4 MiB; all: the whole log that is kept.",
)  # fmt: skip
@json_option
def logs(job: str, follow: bool, lines: int | None, as_json: bool) -> None:
    """Print the end of a job's trainer log.

    Escape sequences are printed as text. A log of more than 64 MiB loses its oldest part.
    """
    if as_json and (follow or lines is None):
        raise click.UsageError(
            "One JSON document cannot hold a log without end; leave out --json, or --follow and --lines all."
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
            if reader.left_out or len(newest) > printed:
                omitted = size(reader.left_out) if reader.left_out else f"{len(newest) - printed} lines"
                note(f"… {omitted} before this; --lines all prints what is kept, in {reader.path}")
            _print(cut)
        if follow:
            _follow(found, reader)
        elif not printed:
            note("The log is empty so far." if not found.status.ended else "The log is empty.")
    except OSError as error:
        raise FormatError(f"{reader.path} cannot be read: {error.strerror}.", "Check that path.") from error


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
            for _ in range(_READS_BETWEEN_REQUESTS):
                time.sleep(_SECONDS_BETWEEN_READS)
                _print_new(log)
            job = ask(GetJob(job.id)).job
        _print_new(log)
        _print(log.rest())
    except KeyboardInterrupt:
        # The usual way to leave a log that is followed; the job goes on.
        note("")


def _print_new(log: LogReader) -> None:
    before = log.left_out
    lines = log.read_all()
    if log.left_out > before:
        note(f"… {size(log.left_out - before)} came too fast and are left out; they are in {log.path}")
    _print(lines)


def _print(lines: list[str]) -> None:
    for line in lines:
        click.echo(log_line(line))
