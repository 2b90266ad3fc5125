"""`saetui checkpoints`: what is saved of a job, and which of it stays."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from saetui.cli.choosing import confirmed
from saetui.cli.output import Column, json_option, print_json, print_table, say
from saetui.client.blocking import ask
from saetui.display.figures import ABSENT, ago, number, short_count, size
from saetui.protocol.messages import GetJob, KeepCheckpoints
from saetui.rundir.checkpoints import CheckpointInfo, list_checkpoints
from saetui.rundir.control import read_control
from saetui.rundir.layout import RunDirectory
from saetui.rundir.retention import Retention, spec_rules, superfluous

OFF = 0


@click.command()
@click.argument("job")
@click.option("--keep-first/--no-keep-first", default=None, help="Whether the first of the run stays.")
@click.option("--keep-last", type=click.IntRange(min=1), metavar="N", help="So many of the newest stay.")
@click.option("--keep-every", type=click.IntRange(min=OFF), metavar="STEPS", help="Multiples of it stay; 0: none.")
@click.option("--keep-best/--no-keep-best", default=None, help="Whether the one with the lowest held-out FVU stays.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def checkpoints(
    job: str, keep_first: bool | None, keep_last: int | None, keep_every: int | None, keep_best: bool | None, yes: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """List a job's checkpoints, or change which of them stay.

    JOB is an id, a unique beginning of one, or a name. With an option it shows what the changed rule would delete, and asks
    first; the newest always stays, and so does one that is being read. A running job deletes after its next save.
    """
    found = ask(GetJob(job)).job
    run = RunDirectory(Path(found.directory))
    rules = read_control(run).retention or spec_rules(run.read_spec())
    given = {"keep_first": keep_first, "keep_last": keep_last, "keep_best": keep_best}
    changed = msgspec.structs.replace(rules, **{name: value for name, value in given.items() if value is not None})
    if keep_every is not None:
        changed = msgspec.structs.replace(changed, keep_every=keep_every or None)
    saved = list_checkpoints(run.checkpoints)
    gone = superfluous(saved, changed)
    if changed != rules:
        if gone:
            say(_preview(found.name, gone))
        if gone and not yes and not confirmed("Delete them?", as_json):
            say("Nothing was changed.")
            return 1
        ask(
            KeepCheckpoints(
                job=found.id, keep_first=changed.keep_first, keep_last=changed.keep_last,
                keep_every=changed.keep_every, keep_best=changed.keep_best,
            )
        )  # fmt: skip
        saved = list_checkpoints(run.checkpoints)
    if as_json:
        print_json({"rules": changed, "checkpoints": [_document(checkpoint) for checkpoint in saved]})
    else:
        _print(saved, changed)
    return 0


def _preview(name: str, gone: list[CheckpointInfo]) -> str:
    steps = ", ".join(str(checkpoint.step) for checkpoint in gone[:8]) + (", …" if len(gone) > 8 else "")
    freed = size(sum(checkpoint.size_bytes for checkpoint in gone))
    noun = "checkpoint" if len(gone) == 1 else "checkpoints"
    return f"No rule would keep {len(gone)} {noun} of {name} any more (step {steps}; {freed})."


def _document(checkpoint: CheckpointInfo) -> dict[str, object]:
    return {
        "step": checkpoint.step, "directory": str(checkpoint.path), "created_at": checkpoint.created_at,
        "size_bytes": checkpoint.size_bytes, "fvu": checkpoint.fvu, "l0": checkpoint.l0,
    }  # fmt: skip


def _print(saved: list[CheckpointInfo], rules: Retention) -> None:
    if saved:
        print_table(
            [*(Column(title, right=True) for title in ("STEP", "SIZE", "HELD-OUT FVU", "HELD-OUT L0")), Column("SAVED")],
            [
                [
                    short_count(checkpoint.step), size(checkpoint.size_bytes),
                    ABSENT if checkpoint.fvu is None else f"{checkpoint.fvu:.4f}", number(checkpoint.l0),
                    ago(checkpoint.created_at),
                ]
                for checkpoint in saved
            ],
        )  # fmt: skip
    else:
        say("Nothing is saved yet.")
    every = f", every multiple of {rules.keep_every}" if rules.keep_every else ""
    first, best = (", the first" if rules.keep_first else ""), (", the best" if rules.keep_best else "")
    say(f"Kept: the newest {rules.keep_last}{first}{best}{every}.")
