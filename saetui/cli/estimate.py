"""`saetui estimate`: what a training would need, before it starts."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from saetui.catalog.offsets import LARGE, measured_offsets
from saetui.cli.output import json_option, print_facts, print_json, say
from saetui.cli.template_lookup import find_template
from saetui.cli.train import final_spec, overrides_option
from saetui.client.blocking import ask
from saetui.client.estimate import estimate_on_this_machine
from saetui.display.figures import ABSENT, duration, size
from saetui.formats.names import site_name
from saetui.home import find_home
from saetui.protocol.messages import DeviceReading, Subscribe
from saetui.spec.editing import load_spec_file
from saetui.spec.estimates import Estimate
from saetui.spec.validation import complete_spec

LOOK_SECONDS = 3.0
_NAMES = {"sae_weights": "SAE weights"}


@click.command("estimate")
@click.argument("spec_file", metavar="[SPEC.json]", required=False)
@click.option("--template", metavar="NAME", help="Take the spec from a template.")
@overrides_option
@json_option
def estimate_command(spec_file: str | None, template: str | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Memory and time of a training, before it starts.

    The time is known where `saetui bench` has measured this machine, and the forecast of dead latents where the activations lie in
    the cache. Exits with 1 when the memory does not suffice.
    """
    if (spec_file is None) == (template is None):
        raise click.UsageError("Give a SPEC.json or --template NAME, one of them.")
    raw = load_spec_file(Path(spec_file)) if spec_file is not None else find_template(str(template)).spec
    ready = complete_spec(final_spec(raw, overrides))
    spec, model = ready.spec, ready.model
    layers = spec.layers or (model.middle_layer,)
    sites = [site_name(layer, point) for layer in layers for point in spec.hook_points]
    gamma = measured_offsets(find_home().cache, spec.model, spec.revision, sites)
    foretold = msgspec.structs.replace(estimate_on_this_machine(spec, model, _reading()), gamma=gamma)
    if as_json:
        print_json(foretold)
    else:
        _print(foretold)
    return 1 if foretold.fits is False else 0


def _reading() -> DeviceReading | None:
    """The device as it is now; a supervisor that was only just started takes a moment to look."""
    deadline = time.monotonic() + LOOK_SECONDS
    while (reading := ask(Subscribe()).device) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return reading


def _print(foretold: Estimate) -> None:
    print_facts((_NAMES.get(name, name), size(count)) for name, count in foretold.parts.items())
    available = "" if foretold.available_bytes is None else f" of {size(foretold.available_bytes)} available"
    verdict = {True: ": it fits", False: ": it does not fit", None: ""}[foretold.fits]
    click.echo(f"together {size(foretold.total_bytes)}{available}{verdict}")
    click.echo(f"time about {ABSENT if foretold.seconds is None else duration(foretold.seconds)}")
    if foretold.seconds is None:
        say("For the time, measure this machine once: saetui bench")
    if foretold.suggestion:
        say(foretold.suggestion)
    for site, gamma in foretold.gamma.items():
        click.echo(_forecast(site, gamma))


def _forecast(site: str, gamma: float) -> str:
    """What the offset that all tokens share does to the latents, in a sentence."""
    said = f"{site}: γ {gamma:.2g}, the mean of the activations is {gamma:.2g} times their standard deviation"
    if gamma < LARGE:
        return f"{said}: no latents are lost to it"
    return f"{said}: an SAE that does not begin at this mean loses many of its latents; here b_dec begins there"
