"""`saetui checkpoints`: the saved states of a job, and which of them are kept."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from saetui.cli.output import Column, confirmed, job_argument, json_option, note, print_json, print_table, right
from saetui.cli.show import checkpoint_document
from saetui.client.blocking import ask
from saetui.display.figures import ago, number, short_count, size
from saetui.protocol.messages import GetJob, KeepCheckpoints
from saetui.rundir.checkpoints import CheckpointInfo, list_checkpoints
from saetui.rundir.control import rules_in_force
from saetui.rundir.layout import RunDirectory
from saetui.rundir.retention import Retention, superfluous

OFF = 0


@click.command()
@click.option("--keep-first/--no-keep-first", default=None, help="Keep the first checkpoint of the run, or not.")
@click.option("--keep-last", type=click.IntRange(min=1), metavar="N", help="Keep the N newest.")
@click.option("--keep-every", type=click.IntRange(min=OFF), metavar="STEPS", help="Keep multiples of STEPS; 0: none.")
@click.option("--keep-best/--no-keep-best", default=None, help="Keep the one with the lowest held-out FVU, or not.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@job_argument
def checkpoints(
    job: str, keep_first: bool | None, keep_last: int | None, keep_every: int | None, keep_best: bool | None, yes: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """List a job's checkpoints, or change which of them are kept.

    With an option the command shows which checkpoints the new rule would delete, and asks first. The newest is always kept,
    and so is one that is being read. A running job deletes the others after its next save.
    """
    found = ask(GetJob(job)).job
    run = RunDirectory(Path(found.directory))
    rules = rules_in_force(run)
    given = {"keep_first": keep_first, "keep_last": keep_last, "keep_best": keep_best}
    changed = msgspec.structs.replace(rules, **{name: value for name, value in given.items() if value is not None})
    if keep_every is not None:
        changed = msgspec.structs.replace(changed, keep_every=keep_every or None)
    saved = list_checkpoints(run.checkpoints)
    if changed != rules:
        gone = superfluous(saved, changed)
        if gone:
            note(_preview(found.name, gone))
        if gone and not yes and not confirmed("Delete them?", as_json):
            note("Nothing was changed.")
            return 1
        ask(
            KeepCheckpoints(
                job=found.id, keep_first=changed.keep_first, keep_last=changed.keep_last,
                keep_every=changed.keep_every, keep_best=changed.keep_best,
            )
        )  # fmt: skip
        saved = list_checkpoints(run.checkpoints)
    if as_json:
        print_json({"rules": changed, "checkpoints": [checkpoint_document(checkpoint) for checkpoint in saved]})
    else:
        _print(saved, changed)
    return 0


def _preview(name: str, gone: list[CheckpointInfo]) -> str:
    steps = ", ".join(str(checkpoint.step) for checkpoint in gone[:8]) + (", …" if len(gone) > 8 else "")
    freed = size(sum(checkpoint.size_bytes for checkpoint in gone))
    noun = "checkpoint" if len(gone) == 1 else "checkpoints"
    return f"No rule would keep {len(gone)} {noun} of {name} any more (step {steps}; {freed})."


def _print(saved: list[CheckpointInfo], rules: Retention) -> None:
    if saved:
        rows = [
            [
                short_count(found.step),
                size(found.size_bytes),
                number(found.fvu),
                number(found.l0),
                ago(found.created_at),
            ]
            for found in saved
        ]
        print_table([*right("STEP", "SIZE", "HELD-OUT FVU", "HELD-OUT L0"), Column("SAVED")], rows)
    else:
        note("Nothing is saved yet.")
    every = f", every multiple of {rules.keep_every}" if rules.keep_every else ""
    first, best = (", the first" if rules.keep_first else ""), (", the best" if rules.keep_best else "")
    note(f"Kept: the newest {rules.keep_last}{first}{best}{every}.")
