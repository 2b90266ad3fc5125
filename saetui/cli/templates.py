"""`saetui templates`: specs kept under a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from saetui.cli.candidates import complete_files, complete_jobs, complete_templates
from saetui.cli.output import (
    Column,
    Group,
    confirmed,
    json_option,
    note,
    print_facts,
    print_json,
    print_result,
    print_table,
)
from saetui.cli.spec_options import final_spec, find_template, overrides_option
from saetui.cli.train import submit, wait_option
from saetui.client.blocking import ask
from saetui.display.figures import ABSENT, ago
from saetui.display.text import plain
from saetui.errors import NotFound
from saetui.formats.paths import shortened, user_path
from saetui.jobs.template_files import export_text, read_template_file, write_template_file
from saetui.jobs.templates import Template, search_templates
from saetui.protocol import messages
from saetui.rundir.layout import RunDirectory
from saetui.spec.chosen import chosen_values, width_of
from saetui.spec.editing import load_spec_file

_template_name = click.argument("name", shell_complete=complete_templates)


@click.group(cls=Group)
def templates() -> None:
    """Save specs under a name and use them again.

    NAME is a template's name or id. Built-in templates can be used, duplicated and marked as favourites, not changed.
    """


@templates.command("list")
@click.option("--search", metavar="TEXT", default="", help="List only templates that contain every word.")
@click.option("--deleted", is_flag=True, help="List those that `restore` can bring back, the last deleted first.")
@json_option
def list_templates(search: str, deleted: bool, as_json: bool) -> None:
    """List the templates, favourites first, then by last use."""
    request = messages.GetDeletedTemplates() if deleted else messages.GetTemplates()
    found = search_templates(ask(request).templates, search)
    if as_json:
        print_json(found)
    elif found:
        _print_templates(found)
    else:
        note("No template matches." if search else "No templates.")


@templates.command()
@_template_name
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one template with its spec."""
    template = find_template(name)
    if as_json:
        print_json(template)
        return
    used = f"{template.use_count} times, last {ago(template.last_used_at)}" if template.use_count else "never"
    facts = [("name", template.name), ("id", template.id), ("description", template.description or ABSENT)]
    facts += [("used", used), ("updated", ago(template.updated_at))]
    if template.missing:
        facts.append(("not here", ", ".join(template.missing)))
    print_facts(facts)
    click.echo("spec")
    print_json(template.spec)


@templates.command()
@click.argument("name", required=False, default="")
@click.option("--job", metavar="JOB", shell_complete=complete_jobs, help="Take the spec of a job.")
@click.option(
    "--file", "spec_file", metavar="SPEC.json", shell_complete=complete_files, help="Take the spec of a file."
)
@click.option("--description", default="", help="Describe it in up to 500 characters.")
@overrides_option
@json_option
def save(
    name: str, job: str | None, spec_file: str | None, description: str, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Save the spec of a job or a file as a template.

    Without NAME one is made from the spec. A name that is taken gets _2.
    """
    if (job is None) == (spec_file is None):
        raise click.UsageError("Give --job JOB or --file SPEC.json, one of them.")
    spec = _spec_of_job(job) if job is not None else load_spec_file(Path(spec_file or ""))
    _print_one(ask(messages.SaveTemplate(final_spec(spec, overrides), name, description)).template, as_json, "Saved")


@templates.command()
@_template_name
@overrides_option
@wait_option
@click.option("--print", "only_print", is_flag=True, help="Print the spec as JSON, and make no job.")
@json_option
def apply(name: str, overrides: tuple[str, ...], wait: bool, only_print: bool, as_json: bool) -> int:
    """Train SAEs from a template, as `saetui train --template` does."""
    template = find_template(name)
    if only_print:
        print_json(final_spec(template.spec, overrides))
        return 0
    return submit(template.spec, overrides, wait, as_json, template=template.id)


@templates.command()
@_template_name
@json_option
def duplicate(name: str, as_json: bool) -> None:
    """Copy a template under a free name."""
    _print_one(ask(messages.DuplicateTemplate(find_template(name).id)).template, as_json, "Made")


@templates.command()
@_template_name
@click.argument("new_name")
@json_option
def rename(name: str, new_name: str, as_json: bool) -> None:
    """Give a template another name."""
    _print_one(ask(messages.EditTemplate(find_template(name).id, name=new_name)).template, as_json, "Renamed to")


@templates.command()
@_template_name
@click.option(
    "--file", "spec_file", metavar="SPEC.json", shell_complete=complete_files, help="Take the spec of a file instead."
)
@overrides_option
@json_option
def edit(name: str, spec_file: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Change the spec of a template: single values with -o, or the whole from a file."""
    if spec_file is None and not overrides:
        raise click.UsageError("Give -o KEY=VALUE, --file SPEC.json, or both.")
    template = find_template(name)
    spec = template.spec if spec_file is None else load_spec_file(Path(spec_file))
    edited = ask(messages.EditTemplate(template.id, spec=final_spec(spec, overrides))).template
    _print_one(edited, as_json, "Changed")


@templates.command()
@_template_name
@click.option("--off", is_flag=True, help="Remove the mark.")
@json_option
def favorite(name: str, off: bool, as_json: bool) -> None:
    """Mark a template as a favourite: it is listed first."""
    edited = ask(messages.EditTemplate(find_template(name).id, favorite=not off)).template
    _print_one(edited, as_json, "No longer a favourite:" if off else "Favourite:")


@templates.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_templates)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete templates. `restore` brings the last ones back."""
    chosen = list({found.id: found for found in map(find_template, names)}.values())
    listed = ", ".join(found.name for found in chosen)
    if not yes and not confirmed(f"Delete {plain(listed)}?", as_json):
        note("Nothing was deleted.")
        return
    deleted = [ask(messages.DeleteTemplate(found.id)).template for found in chosen]
    print_result(deleted, as_json, f"Deleted {plain(listed)}.")


@templates.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@json_option
def restore(names: tuple[str, ...], as_json: bool) -> None:
    """Bring deleted templates back as they were.

    The last 20 that were deleted are kept: `saetui templates list --deleted`. A name that is taken meanwhile gets _2.
    """
    deleted = ask(messages.GetDeletedTemplates()).templates
    chosen = []
    for name in names:
        found = next((template for template in deleted if name in (template.name, template.id)), None)
        if found is None:
            raise NotFound(
                f"No deleted template is called {shortened(name)}.", "See `saetui templates list --deleted`."
            )
        chosen.append(found)
    restored = [ask(messages.RestoreTemplate(found)).template for found in chosen]
    print_result(restored, as_json, f"Restored {plain(', '.join(found.name for found in restored))}.")


@templates.command("import")
@click.argument("file", shell_complete=complete_files)
@json_option
def import_file(file: str, as_json: bool) -> int:
    """Import the templates of a file.

    Each entry that is not valid is refused with its reason, the others are imported. Exits with 1 when any was refused.
    """
    result = ask(messages.ImportTemplates(read_template_file(Path(file)))).result
    for entry in result.refused:
        note(f"error: {entry.name} (entry {entry.index + 1}): {entry.reason}")
    if as_json:
        print_json(result)
    else:
        for template in result.imported:
            click.echo(f"Imported {plain(template.name)} ({template.id})")
    return 1 if result.refused else 0


@templates.command("export")
@click.argument("names", metavar="[NAME...]", nargs=-1, shell_complete=complete_templates)
@click.option("--output", metavar="FILE", help="Write to this new file, not to standard output.")
@json_option
def export_file(names: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Export templates to a file.

    Without NAME all that are not built in.
    """
    chosen = [find_template(name) for name in names]
    if not names:
        chosen = [found for found in ask(messages.GetTemplates()).templates if not found.builtin]
    if not chosen:
        raise NotFound("There is no template of your own to export.", "Save one, or name a built-in one.")
    text = export_text(chosen)
    if output is None:
        click.echo(text, nl=False)
        return
    path = user_path(output)
    write_template_file(path, text)
    print_result({"file": str(path), "templates": [found.name for found in chosen]}, as_json, plain(str(path)))


def _spec_of_job(key: str) -> dict[str, Any]:
    """What was chosen in a job's spec, without its name, which belongs to the job alone."""
    spec = RunDirectory(Path(ask(messages.GetJob(key)).job.directory)).read_spec()
    spec.pop("name", None)
    return chosen_values(spec, width_of(spec))


def _print_one(template: Template, as_json: bool, done: str) -> None:
    print_result(template, as_json, f"{done} {plain(template.name)} ({template.id})")


def _print_templates(found: list[Template]) -> None:
    columns = (
        Column("ID"), Column(""), Column("NAME", gives_way=True), Column("MODEL", gives_way=True), Column("ARCH"),
        Column("USED", right=True), Column("LAST"),
    )  # fmt: skip
    rows = []
    for template in found:
        mark = "★" if template.favorite else ""
        model = str(template.spec.get("model") or ABSENT) + (" (not here)" if "model" in template.missing else "")
        architecture = str(template.spec.get("architecture") or ABSENT)
        last = ago(template.last_used_at)
        rows.append((template.id, mark, template.name, model, architecture, str(template.use_count), last))
    print_table(columns, rows)
