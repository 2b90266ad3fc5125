"""`saetui pause`, `resume`, `stop`, `checkpoint`, `retry`, `delete`: requests about jobs that exist.

Each command takes several jobs and refuses all of them when one cannot be done. The table in jobs/commands.py says what
can be done in which state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps

import click

from saetui.cli.candidates import complete_jobs
from saetui.cli.jobs import named, print_jobs
from saetui.cli.output import confirmed, explain_job, json_option, note, print_json
from saetui.client.blocking import ask
from saetui.errors import Conflict
from saetui.jobs.commands import JobCommand, can, statuses_for
from saetui.jobs.job import Job
from saetui.protocol import messages
from saetui.protocol.messages import BaseRequest

_ATTEMPTS = 3
"""How often jobs are selected again when one of them changes its state between the selection and the request."""


@dataclass(frozen=True)
class Selection:
    """The jobs that a command line selects: by name, all in a state, or all for which the command can be done."""

    keys: tuple[str, ...]
    everything: bool
    statuses: tuple[str, ...]
    yes: bool
    as_json: bool

    def jobs(self, command: JobCommand) -> list[Job]:
        """The jobs that are selected now.

        Raises:
            click.UsageError: the command line selects in no way, or in several.
            NotFound: there is no job of that name.
        """
        if bool(self.keys) + bool(self.statuses) + self.everything != 1:
            raise click.UsageError(f"Name the jobs to {_word(command)}, or give --status or --all: one of these.")
        if self.keys:
            found = {job.id: job for job in (ask(messages.GetJob(key)).job for key in self.keys)}
            return list(found.values())
        possible = [job for job in ask(messages.GetJobs()).jobs if can(command, job)]
        return [job for job in possible if not self.statuses or job.status.value in self.statuses]

    def request(
        self,
        command: JobCommand,
        make: Callable[[tuple[str, ...]], BaseRequest[messages.ManyJobs]],
        question: str = "",
        outcome: str = "",
    ) -> None:
        """Make a request about the selected jobs, and print them as they are then.

        Args:
            command: decides which jobs can be selected.
            make: makes the request from the jobs' ids.
            question: asked on the terminal first, with `{jobs}` for the jobs; empty: nothing is asked.
            outcome: printed before the names of jobs that no longer exist, in place of their list.

        Raises:
            Conflict: the command cannot be done to one of the named jobs; then nothing is done to the others.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            chosen = self.jobs(command)
            asks = bool(chosen and question) and not self.yes and attempt == 1
            if asks and not confirmed(question.format(jobs=named(chosen)), self.as_json):
                note("Nothing was done.")
                return
            try:
                done = ask(make(tuple(job.id for job in chosen))).jobs if chosen else ()
            except Conflict:
                if self.keys or attempt == _ATTEMPTS:
                    raise
                continue
            break
        if self.as_json:
            print_json(done)
        elif not done:
            note(f"No job to {_word(command)}.")
        elif outcome:
            click.echo(f"{outcome} {named(done)}.")
        else:
            print_jobs(done)


def selects_jobs(command: JobCommand, *, asks: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The argument and the options with which a command selects jobs; the function gets them as a `Selection`.

    `asks`: whether it asks first. The others accept `--yes` too, because scripts give it to all, and do not name it.
    """
    names = [status.value for status in statuses_for(command)]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(
            keys: tuple[str, ...],
            everything: bool,
            statuses: tuple[str, ...],
            yes: bool,
            as_json: bool,
            **options: object,
        ) -> None:
            function(Selection(keys, everything, statuses, yes, as_json), **options)

        decorated: Callable[..., None] = explain_job(run)
        for option in (
            json_option,
            click.option("--yes", is_flag=True, hidden=not asks, help="Do not ask."),
            click.option(
                "--status", "statuses", multiple=True, type=click.Choice(names), help="Select every job in this state."
            ),
            click.option("--all", "everything", is_flag=True, help="Select every job for which it can be done."),
            click.argument("keys", metavar="JOB...", nargs=-1, shell_complete=complete_jobs),
        ):
            decorated = option(decorated)
        return decorated

    return decorate


@click.command()
@click.option(
    "--unload", is_flag=True, help="Save a checkpoint and free the memory too; the job resumes through the queue."
)
@click.option("--release", "unload", is_flag=True, hidden=True, help="The name of --unload in version 0.1.")
@selects_jobs(JobCommand.PAUSE)
def pause(selection: Selection, unload: bool) -> None:
    """Pause jobs between two steps; queued ones do not start.

    A paused job keeps its memory, and so its device, unless --unload is given. The command returns as soon as the request
    is recorded.
    """
    selection.request(JobCommand.UNLOAD if unload else JobCommand.PAUSE, partial(messages.PauseJobs, unload=unload))


@click.command()
@selects_jobs(JobCommand.RESUME)
def resume(selection: Selection) -> None:
    """Resume paused jobs, and ended ones from their newest checkpoint.

    A job that was stopped, failed or was lost keeps its id: it waits for its turn, and resumes from its newest sound
    checkpoint.
    """
    selection.request(JobCommand.RESUME, messages.ResumeJobs)


@click.command()
@selects_jobs(JobCommand.STOP)
def stop(selection: Selection) -> None:
    """Stop jobs; each keeps a checkpoint and the SAE of the step it reached.

    The command returns as soon as the request is recorded.
    """
    selection.request(JobCommand.STOP, messages.StopJobs)


@click.command()
@selects_jobs(JobCommand.CHECKPOINT)
def checkpoint(selection: Selection) -> None:
    """Save a checkpoint now.

    It is saved after the present step; then `saetui show` lists it.
    """
    selection.request(JobCommand.CHECKPOINT, messages.CheckpointJobs)


@click.command()
@selects_jobs(JobCommand.RETRY, asks=True)
def retry(selection: Selection) -> None:
    """Train ended jobs again from the start.

    Metrics, events, checkpoints and SAEs of the earlier run are removed; its log is kept. `saetui resume` continues a job
    instead.
    """
    question = (
        "Train {jobs} again from the start? Metrics, events, checkpoints and SAEs of the earlier run are removed; "
        "its log is kept."
    )
    selection.request(JobCommand.RETRY, messages.RetryJobs, question)


@click.command()
@selects_jobs(JobCommand.DELETE, asks=True)
def delete(selection: Selection) -> None:
    """Delete ended jobs with everything they made.

    SAEs that were exported stay.
    """
    selection.request(JobCommand.DELETE, messages.DeleteJobs, "Delete {jobs} with checkpoints and results?", "Deleted")


def _word(command: JobCommand) -> str:
    return command.name.lower()
