"""`saetui logs`: what a job's trainer wrote, made fit for a terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from saetui.cli.output import json_option, print_json, say
from saetui.cli.plain import plain_line
from saetui.client.blocking import ask
from saetui.jobs.job import Job
from saetui.protocol.messages import GetJob
from saetui.rundir.layout import RunDirectory

_SECONDS_BETWEEN_LOOKS = 0.25
_LOOKS_BETWEEN_QUESTIONS = 4


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends; ctrl+c leaves.")
@json_option
def logs(job: str, follow: bool, as_json: bool) -> None:
    """Print what a job's trainer wrote.

    JOB is an id, a unique beginning of one, or a name. Escape sequences are shown, not sent.
    """
    if follow and as_json:
        raise click.UsageError("--follow has no end to be one JSON document of; leave out one of the two.")
    found = ask(GetJob(job)).job
    log = GrowingLog(RunDirectory(Path(found.directory)).log)
    lines = log.new_lines()
    if not follow:
        lines += log.rest()
    if as_json:
        print_json({"job": found.id, "lines": [line.rstrip("\r") for line in lines]})
        return
    _print(lines)
    if follow:
        _follow(found, log)
    elif not lines:
        say("The log is empty so far." if not found.status.ended else "The log is empty.")


class GrowingLog:
    """Reads whole lines of a file that may still grow, or not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._begun = b""

    def new_lines(self) -> list[str]:
        """The lines that were finished since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._begun = (self._begun + data).split(b"\n")
        return [line.decode("utf-8", errors="backslashreplace") for line in lines]

    def rest(self) -> list[str]:
        """The last line, where it was begun and has no end."""
        begun, self._begun = self._begun, b""
        return [begun.decode("utf-8", errors="backslashreplace")] if begun else []


def _follow(job: Job, log: GrowingLog) -> None:
    try:
        while not job.status.ended:
            for _ in range(_LOOKS_BETWEEN_QUESTIONS):
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                _print(log.new_lines())
            job = ask(GetJob(job.id)).job
        _print(log.new_lines() + log.rest())
    except KeyboardInterrupt:
        # How one leaves a log that is followed; the job goes on.
        say("")


def _print(lines: list[str]) -> None:
    for line in lines:
        click.echo(plain_line(line))
