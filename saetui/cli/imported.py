"""`saetui import`: copy in an SAE that another tool or machine made, to evaluate it or to train it further."""

from __future__ import annotations

from pathlib import Path

import click

from saetui.cli.candidates import complete_files
from saetui.cli.output import json_option, note, print_facts, print_json
from saetui.cli.task import run_task
from saetui.display.figures import ABSENT, count
from saetui.errors import HomeError, InvalidInput
from saetui.formats.names import NAME_RULE, free_name, is_name, plain_name
from saetui.formats.paths import user_path
from saetui.home import find_home


@click.command(name="import")
@click.argument("directory", metavar="DIR", shell_complete=complete_files)
@click.option("--name", metavar="NAME", help="Give the SAE this name, not one made from DIR's.")
@json_option
def import_sae(directory: str, name: str | None, as_json: bool) -> None:
    """Import an SAE from another tool or machine, to evaluate it or to train it further.

    DIR has the layout of SAELens, saetui, sparsify, Gemma Scope, Gemma Scope 2 or Llama Scope. Its files are checked first:
    safetensors, JSON and plain NumPy arrays only, shapes that fit, finite weights. A name that is taken gets _2.
    `saetui eval NAME` evaluates the SAE; `saetui train SPEC.json -o start_from=NAME` trains it further.
    """
    source = user_path(directory)
    if name is not None and not is_name(name):
        raise InvalidInput(f"{name!r} is not a name.", f"A name is {NAME_RULE}.")
    into = find_home().make().imported
    try:
        into.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeError(f"{into} cannot be made: {error.strerror}.", "Set SAETUI_HOME to another place.") from error
    chosen = free_name(name or plain_name(source.name), [entry.name for entry in into.iterdir()])
    request = {"import": str(source), "into": str(into), "name": chosen}
    imported = run_task("saetui.training.tasks.convert", request)
    if as_json:
        print_json(imported)
        return
    sizes = f"{count(imported['d_in'])} → {count(imported['latents'])} latents → {count(imported['d_out'])}"
    print_facts(
        [
            ("name", imported["name"]),
            ("architecture", f"{imported['architecture']} ({imported['layout']})"),
            ("sizes", sizes),
            ("model", imported["model"] or ABSENT),
            ("site", imported["hook_name"] or ABSENT),
            ("directory", imported["directory"]),
        ]
    )
    note(f"Evaluate it with `saetui eval {imported['name']}`.")


def find_imported(key: str) -> Path | None:
    """The directory of the imported SAE of that name; None where there is none."""
    directory = find_home().imported / key
    return directory if is_name(key) and directory.is_dir() else None
