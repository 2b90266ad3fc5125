"""`saetui bench`: measure this machine; estimates of time use the figures."""

from __future__ import annotations

import click
import msgspec

from saetui.cli.output import Column, json_option, note, print_json, print_table, right
from saetui.cli.task import run_task
from saetui.display.figures import count, number, percent, short_count
from saetui.formats.durable import write_durably
from saetui.formats.times import now
from saetui.home import find_home
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.speed import MachineFigures


@click.command()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Measure this device.")
@click.option("--architecture", "architectures", type=click.Choice(ARCHITECTURES), multiple=True,
              help="Measure only this one, and save nothing; can be repeated.")  # fmt: skip
@json_option
def bench(device: str, architectures: tuple[str, ...], as_json: bool) -> None:
    """Measure this machine, for estimates of time.

    Measures matrix products, a training step of each architecture, and a transformer's layers, in about a minute. Leave the
    machine alone meanwhile. Estimates use the newest figures.
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
        note("Saved: estimates of time use these figures from now on.")


def _print(figures: MachineFigures) -> None:
    click.echo(f"{figures.device}, torch {figures.torch}")
    for dtype, speed in figures.products.items():
        click.echo(f"matrix products in {dtype}: {count(round(speed / 1e9))} GFLOP/s")
    rows = [
        [
            step.architecture, f"{step.width} × {count(step.latents)}", count(step.batch_size),
            number(step.seconds * 1000), count(round(step.batch_size / step.seconds)), percent(step.share),
            number(step.l0),
        ]
        for step in figures.steps
    ]  # fmt: skip
    columns = right("batch", "ms a step", "tokens/s", "of five products", "L0")
    print_table([Column("architecture"), Column("d × latents"), *columns], rows)
    for forward in figures.forwards:
        speed_text = short_count(forward.parameter_tokens)
        click.echo(f"layers {forward.width} wide: {speed_text} parameters × tokens a second")
