"""`saetui estimate`: the memory and time of a training, before it starts."""

from __future__ import annotations

import time

import click
import msgspec

from saetui.catalog.offsets import LARGE, measured_offsets
from saetui.cli.output import json_option, note, print_facts, print_result
from saetui.cli.spec_options import chosen_spec, final_spec, spec_options
from saetui.client.blocking import ask
from saetui.client.estimate import estimate_on_this_machine
from saetui.display.figures import duration, size
from saetui.formats.names import site_name
from saetui.home import find_home
from saetui.protocol.messages import DeviceReading, Subscribe
from saetui.spec.estimates import Estimate, slow_dtype
from saetui.spec.problems import Problem
from saetui.spec.validation import complete_spec

READING_SECONDS = 3.0
"""How long to wait for the first reading of a supervisor that has just started."""

_NAMES = {"sae_weights": "SAE weights"}


@click.command("estimate")
@spec_options
@json_option
def estimate_command(spec_file: str | None, template: str | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Estimate the memory and time of a training.

    The time is known once `saetui bench` has measured this machine, and the forecast of dead latents once the activations
    are in the cache. Exits with 1 when there is not enough memory.
    """
    raw, _ = chosen_spec(spec_file, template)
    ready = complete_spec(final_spec(raw, overrides))
    spec, model = ready.spec, ready.model
    layers = spec.layers or (model.middle_layer,)
    sites = [site_name(layer, point) for layer in layers for point in spec.hook_points]
    gamma = measured_offsets(find_home().cache, spec.model, spec.revision, sites)
    estimate = msgspec.structs.replace(estimate_on_this_machine(spec, model, _reading()), gamma=gamma)
    print_result(estimate, as_json, lambda: _print(estimate, slow_dtype(spec, estimate)))
    return 1 if estimate.fits is False else 0


def _reading() -> DeviceReading | None:
    """The device as it is now; None where the supervisor has not read it in time."""
    deadline = time.monotonic() + READING_SECONDS
    while (reading := ask(Subscribe()).device) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return reading


def _print(estimate: Estimate, warning: Problem | None) -> None:
    print_facts((_NAMES.get(name, name), size(part)) for name, part in estimate.parts.items())
    available = "" if estimate.available_bytes is None else f" of {size(estimate.available_bytes)} available"
    verdict = {True: ": it fits", False: ": it does not fit", None: ""}[estimate.fits]
    click.echo(f"together {size(estimate.total_bytes)}{available}{verdict}")
    click.echo(f"time {'not known' if estimate.seconds is None else 'about ' + duration(estimate.seconds)}")
    if estimate.seconds is None:
        note("For the time, measure this machine once: saetui bench")
    if estimate.suggestion:
        note(estimate.suggestion)
    if warning is not None:
        note(warning.sentence())
    for site, gamma in estimate.gamma.items():
        click.echo(_forecast(site, gamma))


def _forecast(site: str, gamma: float) -> str:
    """How the offset that all tokens share affects the latents, in a sentence."""
    offset = f"{site}: γ {gamma:.2g}, the mean of the activations is {gamma:.2g} times their standard deviation"
    if gamma < LARGE:
        return f"{offset}: no latents die because of it"
    return f"{offset}: an SAE that does not start at this mean loses many of its latents; here b_dec starts there"
