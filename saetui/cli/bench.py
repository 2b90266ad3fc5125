"""`saetui bench`: what this machine can do. Kept, and used by every estimate of time."""

from __future__ import annotations

import click
import msgspec

from saetui.cli.output import Column, json_option, print_json, print_table, say
from saetui.cli.task import run_task
from saetui.formats.durable import write_durably
from saetui.formats.times import now
from saetui.home import find_home
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.speed import MachineFigures


@click.command()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to measure.")
@click.option("--architecture", "architectures", type=click.Choice(ARCHITECTURES), multiple=True,
              help="Only these; nothing is kept then.")  # fmt: skip
@json_option
def bench(device: str, architectures: tuple[str, ...], as_json: bool) -> None:
    """What this machine can do; estimates of time use it.

    Measures matrix products, a training step of each architecture, a transformer's layers. Takes about a minute. Time estimates use what was measured last; leave the machine alone meanwhile.
    """
    request = {"device": device, "architectures": list(architectures) or None}
    measured = run_task("saetui.training.tasks.bench", request)
    figures = msgspec.convert({**measured, "measured_at": now()}, MachineFigures)
    if not architectures:
        home = find_home()
        home.make()
        write_durably(home.machine_figures, msgspec.json.encode(figures))
    if as_json:
        print_json(figures)
        return
    _print(figures)
    if not architectures:
        say("Kept: estimates of time use these figures from now on.")


def _print(figures: MachineFigures) -> None:
    click.echo(f"{figures.device}, torch {figures.torch}")
    for dtype, speed in figures.products.items():
        click.echo(f"matrix products in {dtype}: {speed / 1e9:,.1f} GFLOP/s")
    columns = [
        Column("architecture"), Column("d × latents"), Column("batch", right=True), Column("ms a step", right=True),
        Column("tokens/s", right=True), Column("of five products", right=True),
    ]  # fmt: skip
    print_table(
        columns,
        [
            [
                step.architecture, f"{step.width} × {step.latents:,}", f"{step.batch_size:,}", f"{step.seconds * 1000:,.1f}",
                f"{step.batch_size / step.seconds:,.0f}", f"{step.share:.0%}",
            ]
            for step in figures.steps
        ],
    )  # fmt: skip
    for forward in figures.forwards:
        click.echo(
            f"layers {forward.width} wide: {forward.parameter_tokens / 1e9:,.1f} billion parameters × tokens a second"
        )
