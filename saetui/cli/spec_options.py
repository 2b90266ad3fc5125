"""The spec that a command line names: a file or a template, with overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from saetui.cli.candidates import complete_files, complete_overrides, complete_templates
from saetui.cli.output import Command
from saetui.client.blocking import ask
from saetui.errors import Conflict, NotFound
from saetui.formats.paths import shortened
from saetui.jobs.templates import Template
from saetui.protocol.messages import GetTemplates
from saetui.spec.editing import absolute_paths, apply_overrides, load_spec_file


def overrides_option(command: Command) -> Command:
    """`-o KEY=VALUE`."""
    return click.option("-o", "--set", "overrides", metavar="KEY=VALUE", multiple=True, shell_complete=complete_overrides,
                        help="Set a spec field or a hyperparameter, e.g. -o k=16 -o layers=1,2.")(command)  # fmt: skip


def spec_options(command: Command) -> Command:
    """`[SPEC.json]` (`-`: standard input), `--template NAME` and `-o KEY=VALUE`."""
    command = click.option(
        "--template", metavar="NAME", shell_complete=complete_templates, help="Take the spec from a template."
    )(overrides_option(command))
    return click.argument("spec_file", metavar="[SPEC.json]", required=False, shell_complete=complete_files)(command)


def chosen_spec(spec_file: str | None, template: str | None) -> tuple[dict[str, Any], str | None]:
    """The spec of a file or a template, and the template's id.

    Raises:
        click.UsageError: neither or both are named.
        InvalidInput: the file is no spec.
        NotFound: there is no such template.
    """
    if spec_file is not None and template is None:
        return load_spec_file(Path(spec_file)), None
    if spec_file is None and template is not None:
        found = find_template(template)
        return found.spec, found.id
    raise click.UsageError("Give a SPEC.json or --template NAME, one of them.")


def final_spec(raw: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """The spec with its overrides and with absolute paths, as it is submitted.

    Raises:
        SpecError: an override is not understood.
    """
    return absolute_paths(apply_overrides(raw, overrides), Path.cwd())


def find_template(key: str) -> Template:
    """The template with this name or id, or the only one whose id begins with the key.

    Raises:
        NotFound: there is none.
        Conflict: several ids begin with the key.
    """
    templates = ask(GetTemplates()).templates
    for same in (lambda found: key in (found.name, found.id), lambda found: found.name.lower() == key.lower()):
        exact = list(filter(same, templates))
        if exact:
            return exact[0]
    begun = [found for found in templates if key and found.id.startswith(key)]
    if len(begun) > 1:
        raise Conflict(f"Several templates have an id that begins with {key}.", "Give more of it, or the name.")
    if not begun:
        raise NotFound(f"There is no template {shortened(key)}.", "See `saetui templates list`.")
    return begun[0]
