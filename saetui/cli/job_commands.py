"""`saetui pause`, `resume`, `stop`, `checkpoint`, `retry`, `delete`: what is done to jobs that are there.

Each takes several jobs and refuses all of them when one cannot; the table of jobs/commands.py says what can when.
"""

from __future__ import annotations

from functools import partial

import click

from saetui.cli.choosing import Choice, job_choice
from saetui.jobs.commands import JobCommand
from saetui.protocol.messages import (
    CheckpointJobs,
    DeleteJobs,
    PauseJobs,
    ResumeJobs,
    RetryJobs,
    StopJobs,
)


@click.command()
@click.option(
    "--unload", is_flag=True, help="Save a checkpoint and free the memory too; the job goes on through the queue."
)
@click.option("--release", "unload", is_flag=True, hidden=True, help="The name of --unload in version 0.1.")
@job_choice(JobCommand.PAUSE)
def pause(
    keys: tuple[str, ...], everything: bool, statuses: tuple[str, ...], yes: bool, as_json: bool, unload: bool
) -> None:
    """Hold jobs between two steps; queued ones do not start.

    JOB is an id, a unique beginning of one, or a name. A paused job keeps its memory, and so its device, unless --unload
    is given. Comes back as soon as the wish is recorded.
    """
    verb = JobCommand.UNLOAD if unload else JobCommand.PAUSE
    Choice(verb, keys, everything, statuses, yes, as_json).do(partial(PauseJobs, unload=unload))


@click.command()
@job_choice(JobCommand.RESUME)
def resume(keys: tuple[str, ...], everything: bool, statuses: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Let paused jobs go on, and ended ones from their newest checkpoint.

    JOB is an id, a unique beginning of one, or a name. One that was stopped, failed or was lost is the same job again: it
    waits for its turn, and goes on from its newest sound checkpoint.
    """
    Choice(JobCommand.RESUME, keys, everything, statuses, yes, as_json).do(ResumeJobs)


@click.command()
@job_choice(JobCommand.STOP)
def stop(keys: tuple[str, ...], everything: bool, statuses: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Stop jobs; each keeps a checkpoint and the SAE as it stands.

    JOB is an id, a unique beginning of one, or a name. Comes back as soon as the wish is recorded.
    """
    Choice(JobCommand.STOP, keys, everything, statuses, yes, as_json).do(StopJobs)


@click.command()
@job_choice(JobCommand.CHECKPOINT)
def checkpoint(keys: tuple[str, ...], everything: bool, statuses: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Save a checkpoint now.

    JOB is an id, a unique beginning of one, or a name. It is saved after the present step; `saetui show` lists it then.
    """
    Choice(JobCommand.CHECKPOINT, keys, everything, statuses, yes, as_json).do(CheckpointJobs)


@click.command()
@job_choice(JobCommand.RETRY)
def retry(keys: tuple[str, ...], everything: bool, statuses: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Train ended jobs again from the start.

    JOB is an id, a unique beginning of one, or a name. What the earlier try made (metrics, events, checkpoints, SAEs) is
    removed; its log is kept. To go on instead: `saetui resume`.
    """
    question = (
        "Train {jobs} again from the start? Metrics, events, checkpoints and SAEs of the earlier try are removed; "
        "its log is kept."
    )
    Choice(JobCommand.RETRY, keys, everything, statuses, yes, as_json).do(RetryJobs, question)


@click.command()
@job_choice(JobCommand.DELETE)
def delete(keys: tuple[str, ...], everything: bool, statuses: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete ended jobs with everything they made.

    JOB is an id, a unique beginning of one, or a name. What was exported elsewhere stays.
    """
    Choice(JobCommand.DELETE, keys, everything, statuses, yes, as_json).do(
        DeleteJobs, "Delete {jobs} with checkpoints and results?", "Deleted"
    )
