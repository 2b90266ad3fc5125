"""`saetui eval`: how good a finished SAE is on held-out text, its own or another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from saetui.cli.candidates import complete_jobs
from saetui.cli.imported import find_imported
from saetui.cli.output import Column, json_option, note, print_facts, print_result, print_table, right
from saetui.cli.task import run_task
from saetui.client.blocking import ask
from saetui.client.exporting import finished
from saetui.display.figures import count, number, percent
from saetui.errors import InvalidInput, NotFound
from saetui.formats.paths import user_path
from saetui.protocol.messages import GetJob
from saetui.rundir.layout import RunDirectory
from saetui.spec.architectures import HOOK_POINTS
from saetui.spec.editing import absolute_reference

DENSITIES = {"never_fired": "never"} | {f"density_{power}": f"1e{power}" for power in range(-7, 0)}
"""The density histogram: the evaluation's names → the titles of the columns."""


@dataclass(frozen=True)
class Target:
    """The SAEs to evaluate: directories by name, and the settings of their training where those are known here."""

    directories: Mapping[str, Path]
    settings: Mapping[str, Any]


@click.command(name="eval")
@click.argument("which", metavar="JOB|DIR|NAME", shell_complete=complete_jobs)
@click.option("--site", metavar="SITE", help="Evaluate only this site of a job.")
@click.option("--model", metavar="MODEL", help="Run this model, not the one of the training.")
@click.option("--dataset", metavar="SOURCE", help="Read this text, not the one of the training.")
@click.option("--split", metavar="NAME", help="Read this part of the text, not the one of the training.")
@click.option(
    "--text-field", metavar="NAME", help="Read the text from this field of a row, not the one of the training."
)
@click.option("--layer", type=click.IntRange(0), help="Read this layer, not the one of the SAE.")
@click.option("--hook-point", type=click.Choice(HOOK_POINTS), help="Read at this point, not at the one of the SAE.")
@click.option(
    "--context-length", type=click.IntRange(2, 1 << 20), help="Read contexts of so many tokens, not as in training."
)
@click.option("--tokens", type=click.IntRange(1, 1 << 40), default=32_768, show_default=True,
              help="Read so many held-out tokens.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="Run on auto, cpu, cuda or cuda:N.")
@json_option
def evaluate(which: str, site: str | None, tokens: int, device: str, as_json: bool, **given: str | int | None) -> None:
    """Evaluate the SAEs of a job, a directory, or an imported one, on held-out text.

    Prints the FVU of the tokens that the SAE was trained for and of all tokens, sinks included; L0; the latents that fired
    on none of these tokens; how often latents fire; and the model's cross-entropy: as it is, with the SAE in place of the
    activation, with zeros, and the share that the SAE recovers.
    """
    target = find_target(which, site)
    for name in ("model", "dataset"):
        given[name] = None if given[name] is None else absolute_reference(str(given[name]), Path.cwd())
    # Split and field belong to the text of the training, not to another one.
    other = () if given["dataset"] in (None, target.settings.get("dataset")) else ("split", "text_field")
    request = {
        **{name: value for name, value in target.settings.items() if name not in other},
        **{name: value for name, value in given.items() if value is not None},
        "directories": {name: str(path) for name, path in target.directories.items()},
        "tokens": tokens,
        "device": device,
    }
    found = run_task("saetui.training.tasks.evaluate", request)
    print_result(found, as_json, lambda: print_evaluation(found))


def find_target(which: str, site: str | None) -> Target:
    """The SAEs that the user names: a directory, else an imported SAE, else a job.

    Raises:
        NotFound: nothing has that name, or the job has no such site or no result.
        InvalidInput: a site was named, and `which` is no job.
    """
    directory = user_path(which)
    found = directory.absolute() if directory.is_dir() else find_imported(which)
    if found is not None:
        if site is not None:
            raise InvalidInput(f"{which} is one SAE; --site chooses one of a job's.", "Leave --site out.")
        return Target({found.name: found}, {})
    if directory.is_file():
        way_out = f"Give the directory that holds it: {directory.parent}."
        raise NotFound(f"{which} is a file; an SAE is a directory.", way_out)
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
    settings = {name: spec.get(name) for name in ("model", "revision")} | {"dataset": data.get("source")}
    settings |= {name: data.get(name) for name in ("split", "text_field", "context_length")}
    return Target(results if site is None else {site: results[site]}, settings)


def print_evaluation(found: Mapping[str, Any]) -> None:
    """Print an evaluation for people: two tables, and its notes on standard error."""
    part = "" if found["split"] == "train" else f" (split {found['split']})"
    contexts = f"{count(found['tokens'])} held-out tokens in contexts of {found['context_length']}"
    print_facts([("model", found["model"]), ("text", f"{found['dataset']}{part}, {contexts}")])
    name_column = Column("SAE", gives_way=True)
    titles = ("FVU", "WITH SINKS", "SINKS", "L0", "NEVER FIRED", "CE", "WITH SAE", "ZEROED", "RECOVERED")
    rows = []
    for name, values in found["sites"].items():
        entropies = [number(values.get(key)) for key in ("ce_clean", "ce_sae", "ce_zero")]
        never = f"{values['never_fired'] * values['latents']:.0f} ({percent(values['never_fired'])})"
        fvu = (number(values.get("fvu")), number(values.get("fvu_all")), percent(values.get("sink_fraction"), 1))
        recovered = percent(values.get("ce_recovered"))
        rows.append((name, values["trained_as"], *fvu, number(values["l0"]), never, *entropies, recovered))
    print_table((name_column, Column("ARCH"), *right(*titles)), rows)
    click.echo("\nHow often latents fire (share of the latents with a density from 1eN up to ten times that)")
    shares = [(name, *(percent(values.get(key)) for key in DENSITIES)) for name, values in found["sites"].items()]
    print_table((name_column, *right(*DENSITIES.values())), shares)
    for name, values in found["sites"].items():
        for remark in values["notes"]:
            note(f"{name}: {remark}")
