"""`saetui selftest`: whether each architecture finds a planted dictionary on this machine."""

from __future__ import annotations

import click

from saetui.cli.output import Column, json_option, print_json, print_table
from saetui.cli.task import run_task

_FIGURES = {
    "recovered": "{:.1%}",
    "mcc": "{:.3f}",
    "dead": "{:.1%}",
    "fvu": "{:.3f}",
    "l0": "{:.1f}",
    "seconds": "{:.1f}",
}


@click.command()
@click.option("--architecture", "architectures", metavar="NAME", multiple=True, help="Only this one; can be repeated.")
@click.option(
    "--full", is_flag=True, help="Try the defaults on synthetic activations that resemble a model's: some minutes."
)
@json_option
def selftest(architectures: tuple[str, ...], full: bool, as_json: bool) -> int:
    """Recover a planted dictionary with every architecture.

    A falling loss proves nothing, this does.

    Each is trained for a few seconds on activations made of known directions, and must find at least 95 % of them
    (cosine 0.9) with few dead latents. Exits with 1 where one falls short.

    With --full each is trained with its default hyperparameters on features of very unequal frequency, correlated and in a
    hierarchy, and must reach what was measured for it: a default that is wrong shows.
    """
    rows = run_task("saetui.training.tasks.selftest", {"architectures": list(architectures) or None, "full": full})
    if as_json:
        print_json(rows)
    else:
        figures = {name: form for name, form in _FIGURES.items() if name in rows[0]}
        columns = (
            Column("architecture"),
            Column("result"),
            *(Column(name, right=True) for name in figures),
            Column("why", gives_way=True),
        )
        print_table(
            columns,
            [
                (
                    row["architecture"],
                    "passed" if row["passed"] else "failed",
                    *(form.format(row[name]) for name, form in figures.items()),
                    row["why"],
                )
                for row in rows
            ],
            ["green" if row["passed"] else "red" for row in rows],
        )
    return 0 if all(row["passed"] for row in rows) else 1
