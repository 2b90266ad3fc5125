"""`saetui eval`: how good a finished SAE is on held-out text, of its own or of one's choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from saetui.cli.export import finished
from saetui.cli.imported import find_imported
from saetui.cli.output import Column, json_option, print_facts, print_json, print_table, say
from saetui.cli.task import run_task
from saetui.client.blocking import ask
from saetui.display.figures import count, number, percent
from saetui.errors import InvalidInput, NotFound
from saetui.formats.paths import user_path
from saetui.protocol.messages import GetJob
from saetui.rundir.layout import RunDirectory
from saetui.spec.architectures import HOOK_POINTS
from saetui.spec.editing import absolute_reference

FORWARD = {"never_fired": "never"} | {f"density_{power}": f"1e{power}" for power in range(-7, 0)}
"""The density histogram: the evaluation's names, and how they are shown."""


@dataclass(frozen=True)
class Judged:
    """What is evaluated: SAE directories by name, and what they were trained with, where that is known here."""

    directories: Mapping[str, Path]
    defaults: Mapping[str, Any]


@click.command(name="eval")
@click.argument("which", metavar="JOB|DIR|NAME")
@click.option("--site", metavar="SITE", help="Only this site of a job.")
@click.option("--model", metavar="MODEL", help="Run this model; otherwise the one that it was trained on.")
@click.option("--dataset", metavar="SOURCE", help="Read this text; otherwise the one that it was trained on.")
@click.option("--split", metavar="NAME", help="Read this part of the text; otherwise the one that it was trained on.")
@click.option("--text-field", metavar="NAME", help="The field of a row that holds the text; otherwise as in training.")
@click.option("--layer", type=click.IntRange(0), help="Read this layer; otherwise the one that it names.")
@click.option("--hook-point", type=click.Choice(HOOK_POINTS), help="Read there; otherwise where it names.")
@click.option(
    "--context-length", type=click.IntRange(2, 1 << 20), help="Tokens in a context; otherwise as in training."
)
@click.option(
    "--tokens", type=click.IntRange(1, 1 << 40), default=32_768, show_default=True, help="Held-out tokens to judge by."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@json_option
def evaluate(
    which: str,
    site: str | None,
    model: str | None,
    dataset: str | None,
    split: str | None,
    text_field: str | None,
    layer: int | None,
    hook_point: str | None,
    context_length: int | None,
    tokens: int,
    device: str,
    as_json: bool,
) -> None:
    """Evaluate the SAEs of a job, a directory, or an imported one, on held-out text.

    FVU of the tokens that the SAE was trained for and of all of them, sinks included; L0; the latents that fired on none of these
    tokens; how often latents fire; and the model's cross-entropy: as it is, with the SAE in place of the activation, with zeros,
    and the share that the SAE recovers.
    """
    judged = find_judged(which, site)
    asked = {
        "model": _absolute(model),
        "dataset": _absolute(dataset),
        "split": split,
        "text_field": text_field,
        "context_length": context_length,
        "layer": layer,
        "hook_point": hook_point,
    }
    # Split and field are those of the text that it was trained on, not of another one.
    other = () if asked["dataset"] in (None, judged.defaults.get("dataset")) else ("split", "text_field")
    request = {
        **{name: value for name, value in judged.defaults.items() if name not in other},
        **{name: value for name, value in asked.items() if value is not None},
        "directories": {name: str(path) for name, path in judged.directories.items()},
        "tokens": tokens,
        "device": device,
    }
    found = run_task("saetui.training.tasks.evaluate", request)
    if as_json:
        print_json(found)
    else:
        _print(found)


def find_judged(which: str, site: str | None) -> Judged:
    """What the user means: a directory, else an imported SAE, else a job.

    Raises:
        NotFound: there is no such thing, or the job has no such site or no result.
        InvalidInput: a site was named, and it is no job.
    """
    directory = user_path(which)
    found = directory.absolute() if directory.is_dir() else find_imported(which)
    if found is not None:
        if site is not None:
            raise InvalidInput(f"{which} is one SAE; --site chooses one of a job's.", "Leave --site out.")
        return Judged({found.name: found}, {})
    if directory.is_file():
        raise NotFound(
            f"{which} is a file; an SAE is a directory.", f"Give the directory that holds it: {directory.parent}."
        )
    if "/" in which:
        raise NotFound(
            f"There is no directory {which}.",
            "Give a directory with an SAE, an imported one's name, or a job. An SAE of the Hub is not downloaded by saetui: "
            "fetch its folder with `hf download`, and give that.",
        )
    job = ask(GetJob(which)).job
    results = finished(job)
    if site is not None and site not in results:
        raise NotFound(f"The job {job.name} has no site {site}.", f"It has {', '.join(results)}.")
    spec = RunDirectory(Path(job.directory)).read_spec()
    data = spec.get("dataset", {})
    defaults = {
        "model": spec.get("model"),
        "revision": spec.get("revision"),
        "dataset": data.get("source"),
        "split": data.get("split"),
        "text_field": data.get("text_field"),
        "context_length": data.get("context_length"),
    }
    return Judged(results if site is None else {site: results[site]}, defaults)


def _absolute(reference: str | None) -> str | None:
    return None if reference is None else absolute_reference(reference, Path.cwd())


def _print(found: Mapping[str, Any]) -> None:
    part = "" if found["split"] == "train" else f" (split {found['split']})"
    text = (
        f"{found['dataset']}{part}, {count(found['tokens'])} held-out tokens in contexts of {found['context_length']}"
    )
    print_facts([("model", found["model"]), ("text", text)])
    titles = ("FVU", "WITH SINKS", "SINKS", "L0", "NEVER FIRED", "CE", "WITH SAE", "ZEROED", "RECOVERED")
    rows = []
    for name, values in found["sites"].items():
        figures = [number(values.get(key)) for key in ("ce_clean", "ce_sae", "ce_zero")]
        never = f"{values['never_fired'] * values['latents']:.0f} ({percent(values['never_fired'])})"
        fvu = (number(values.get("fvu")), number(values.get("fvu_all")), percent(values.get("sink_fraction"), 1))
        recovered = percent(values.get("ce_recovered"))
        rows.append((name, values["trained_as"], *fvu, number(values["l0"]), never, *figures, recovered))
    columns = (Column("SAE", gives_way=True), Column("ARCH"), *(Column(title, right=True) for title in titles))
    print_table(columns, rows)
    click.echo("\nHow often latents fire (share of the latents with a density from 1eN up to ten times that)")
    densities = [(name, *(percent(values.get(key)) for key in FORWARD)) for name, values in found["sites"].items()]
    print_table((Column("SAE", gives_way=True), *(Column(title, right=True) for title in FORWARD.values())), densities)
    for name, values in found["sites"].items():
        for note in values["notes"]:
            say(f"{name}: {note}")
