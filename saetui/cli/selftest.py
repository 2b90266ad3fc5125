"""`saetui selftest`: whether each architecture finds a planted dictionary on this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from saetui.cli.output import Column, json_option, print_json, print_table, right
from saetui.cli.task import run_task
from saetui.display.figures import number, percent

_FIGURES: dict[str, Callable[[float | None], str]] = {
    "recovered": partial(percent, digits=1),
    "mcc": number,
    "dead": partial(percent, digits=1),
    "fvu": number,
    "l0": number,
    "seconds": number,
}


@click.command()
@click.option(
    "--architecture", "architectures", metavar="NAME", multiple=True, help="Test only this one; can be repeated."
)
@click.option("--full", is_flag=True,
              help="Test the defaults on synthetic activations that resemble a model's: takes some minutes.")  # fmt: skip
@json_option
def selftest(architectures: tuple[str, ...], full: bool, as_json: bool) -> int:
    """Recover a planted dictionary with every architecture.

    A falling loss proves nothing, this does.

    Each architecture is trained for a few seconds on activations made of known directions, and must find at least 95% of
    them (cosine 0.9) with few dead latents. Exits with 1 where one falls short.

    With --full each is trained with its default hyperparameters on features of very unequal frequency, correlated and in a
    hierarchy, and must reach the result measured for it: a wrong default shows.
    """
    rows = run_task("saetui.training.tasks.selftest", {"architectures": list(architectures) or None, "full": full})
    if as_json:
        print_json(rows)
    else:
        shown = {name: show for name, show in _FIGURES.items() if name in rows[0]}
        columns = [Column("architecture"), Column("result"), *right(*shown), Column("why", gives_way=True)]
        texts = [
            [
                row["architecture"], "passed" if row["passed"] else "failed",
                *(show(row[name]) for name, show in shown.items()), row["why"],
            ]
            for row in rows
        ]  # fmt: skip
        print_table(columns, texts, ["green" if row["passed"] else "red" for row in rows])
    return 0 if all(row["passed"] for row in rows) else 1
