"""Which jobs a command is about: named ones, all in a state, or all for which it can be done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from saetui.cli.job_table import named, print_jobs
from saetui.cli.output import Command, json_option, print_json, say
from saetui.client.blocking import ask
from saetui.display.text import plain
from saetui.errors import Conflict
from saetui.jobs.commands import JobCommand, can, statuses_for
from saetui.jobs.job import Job
from saetui.protocol.messages import BaseRequest, GetJob, GetJobs, ManyJobs

_TRIES = 3
"""How often jobs are chosen anew when one of them changed its state between the choice and the request."""


@dataclass(frozen=True)
class Choice:
    """What a command line says of the jobs that are meant."""

    verb: JobCommand
    keys: tuple[str, ...]
    everything: bool
    statuses: tuple[str, ...]
    yes: bool
    as_json: bool

    def jobs(self) -> list[Job]:
        """The jobs that are meant now.

        Raises:
            click.UsageError: the command line does not say.
            NotFound: there is no job of that name.
        """
        if bool(self.keys) + bool(self.statuses) + self.everything != 1:
            raise click.UsageError(f"Name the jobs to {self.verb.value}, or give --status or --all: one of these.")
        if self.keys:
            found = {job.id: job for job in (ask(GetJob(key)).job for key in self.keys)}
            return list(found.values())
        everyone = ask(GetJobs()).jobs
        return [
            job for job in everyone if can(self.verb, job) and (not self.statuses or job.status.value in self.statuses)
        ]

    def do(
        self, request: Callable[[tuple[str, ...]], BaseRequest[ManyJobs]], question: str = "", word: str = ""
    ) -> None:
        """Ask the user where there is a question, then the supervisor; print the jobs as they are then.

        Args:
            request: makes the request of the jobs' ids.
            question: what is asked first, with `{jobs}` for the jobs; empty: nothing is.
            word: said of jobs that are there no more, in place of their list.

        Raises:
            Conflict: it cannot be done to one of the named jobs; nothing is done to the others then.
        """
        for attempt in range(1, _TRIES + 1):
            chosen = self.jobs()
            asks = bool(chosen and question) and not self.yes and attempt == 1
            if asks and not confirmed(question.format(jobs=named(chosen)), self.as_json):
                say("Nothing was done.")
                return
            try:
                done = ask(request(tuple(job.id for job in chosen))).jobs if chosen else ()
            except Conflict:
                if self.keys or attempt == _TRIES:
                    raise
                continue
            self._print(done, word)
            return

    def _print(self, done: Sequence[Job], word: str) -> None:
        if self.as_json:
            print_json(done)
        elif not done:
            say(f"No job to {self.verb.value}.")
        elif word:
            click.echo(f"{word} {named(done)}.")
        else:
            print_jobs(done)


def confirmed(question: str, as_json: bool) -> bool:
    """Ask on the terminal; no is the default.

    Raises:
        click.UsageError: nobody is there to answer.
    """
    if as_json or not sys.stdin.isatty():
        raise click.UsageError("This asks before it deletes, and nobody can answer here: add --yes.")
    return click.confirm(plain(question), default=False, err=True)


def job_choice(verb: JobCommand) -> Callable[[Command], Command]:
    """The argument and the options with which every command on jobs chooses them."""
    names = [status.value for status in statuses_for(verb)]

    def add(command: Command) -> Command:
        for option in (
            json_option,
            click.option("--yes", is_flag=True, help="Do not ask, where this asks."),
            click.option(
                "--status", "statuses", multiple=True, type=click.Choice(names), help="Every job in this state."
            ),
            click.option("--all", "everything", is_flag=True, help="Every job for which it can be done."),
            click.argument("keys", metavar="JOB...", nargs=-1),
        ):
            command = option(command)
        return command

    return add
