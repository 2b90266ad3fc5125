"""`saetui selftest`: whether each architecture finds a planted dictionary on this machine."""

from __future__ import annotations

import click

from saetui.cli.errand import ask_errand
from saetui.cli.output import Column, json_option, print_json, print_table

_COLUMNS = (
    Column("architecture"),
    Column("result"),
    Column("recovered", right=True),
    Column("dead", right=True),
    Column("fvu", right=True),
    Column("l0", right=True),
    Column("seconds", right=True),
    Column("why", gives_way=True),
)


@click.command()
@click.option("--architecture", "architectures", metavar="NAME", multiple=True, help="Only this one; can be repeated.")
@json_option
def selftest(architectures: tuple[str, ...], as_json: bool) -> int:
    """Recover a planted dictionary with every architecture.

    A falling loss proves nothing, this does.

    Each is trained for a few seconds on activations made of known directions, and must find at least 95 % of them
    (cosine 0.9) with few dead latents. Exits with 1 where one falls short.
    """
    rows = ask_errand("saetui.training.selftest", {"architectures": list(architectures) or None})
    if as_json:
        print_json(rows)
    else:
        print_table(
            _COLUMNS,
            [
                (
                    row["architecture"],
                    "passed" if row["passed"] else "failed",
                    f"{row['recovered']:.1%}",
                    f"{row['dead']:.1%}",
                    f"{row['fvu']:.3f}",
                    f"{row['l0']:.1f}",
                    f"{row['seconds']:.1f}",
                    row["why"],
                )
                for row in rows
            ],
            ["green" if row["passed"] else "red" for row in rows],
        )
    return 0 if all(row["passed"] for row in rows) else 1
