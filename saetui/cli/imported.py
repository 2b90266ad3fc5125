"""`saetui import`: an SAE that another tool, or another machine, made; to evaluate or to train further."""

from __future__ import annotations

from pathlib import Path

import click

from saetui.cli.output import json_option, print_facts, print_json, say
from saetui.cli.task import run_task
from saetui.display.figures import ABSENT, count
from saetui.errors import HomeError, InvalidInput
from saetui.formats.names import NAME_RULE, free_name, is_name, plain_name
from saetui.formats.paths import user_path
from saetui.home import find_home


@click.command(name="import")
@click.argument("directory", metavar="DIR")
@click.option("--name", metavar="NAME", help="What it is to be called; made from DIR's name otherwise.")
@json_option
def import_sae(directory: str, name: str | None, as_json: bool) -> None:
    """Copy an SAE in, another tool's or machine's, to evaluate or to train further.

    DIR is in SAELens's layout, saetui's own, sparsify's, Gemma Scope's, Gemma Scope 2's or Llama Scope's. It is looked
    through first: safetensors, JSON and plain NumPy arrays only, shapes that fit, finite weights. A name that is taken gets _2.
    `saetui eval NAME` evaluates it; `saetui train SPEC.json -o start_from=NAME` trains it further.
    """
    source = user_path(directory)
    if name is not None and not is_name(name):
        raise InvalidInput(f"{name!r} is not a name.", f"A name is {NAME_RULE}.")
    into = _make(find_home().make().imported)
    wanted = name or plain_name(source.name)
    chosen = free_name(wanted, [entry.name for entry in into.iterdir()])
    request = {"import": str(source), "into": str(into), "name": chosen}
    imported = run_task("saetui.training.tasks.convert", request)
    if as_json:
        print_json(imported)
        return
    print_facts(
        [
            ("name", imported["name"]),
            ("architecture", f"{imported['architecture']} ({imported['layout']})"),
            (
                "sizes",
                f"{count(imported['d_in'])} → {count(imported['latents'])} latents → {count(imported['d_out'])}",
            ),
            ("model", imported["model"] or ABSENT),
            ("site", imported["hook_name"] or ABSENT),
            ("directory", imported["directory"]),
        ]
    )
    say(f"Evaluate it with `saetui eval {imported['name']}`.")


def find_imported(key: str) -> Path | None:
    """The directory of the imported SAE of that name; None where there is none."""
    directory = find_home().imported / key
    return directory if is_name(key) and directory.is_dir() else None


def _make(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeError(
            f"{directory} cannot be made: {error.strerror}.", "Set SAETUI_HOME to another place."
        ) from error
    return directory
