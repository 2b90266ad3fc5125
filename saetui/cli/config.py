"""`saetui config`: the user's preferences, kept for all clients of a home."""

from __future__ import annotations

import click
import msgspec

from saetui.cli.output import Group, json_option, note, print_facts, print_json, print_result
from saetui.client.blocking import ask
from saetui.jobs.preferences import PREFERENCES, Preferences, find_preference
from saetui.protocol.messages import GetPreferences, SetPreferences


@click.group(cls=Group)
def config() -> None:
    """Show and change settings: automatic resume, theme, refresh rate.

    Each SAETUI_HOME has its own; the screens and every command use the same.
    """


@config.command("list")
@json_option
def list_all(as_json: bool) -> None:
    """List every setting, its value, and its effect."""
    kept = ask(GetPreferences()).preferences
    if as_json:
        print_json(msgspec.to_builtins(kept))
        return
    for row in PREFERENCES.values():
        click.echo(f"{row.name} = {_shown(kept, row.name)}")
        print_facts([("", f"{row.help} ({row.allowed})")])


@config.command()
@click.argument("name")
@json_option
def get(name: str, as_json: bool) -> None:
    """Print the value of one setting."""
    row = find_preference(name)
    kept = ask(GetPreferences()).preferences
    print_result({name: getattr(kept, row.name)}, as_json, _shown(kept, row.name))


@config.command("set")
@click.argument("name")
@click.argument("value")
@json_option
def set_value(name: str, value: str, as_json: bool) -> None:
    """Change one setting, e.g. `saetui config set auto_resume on`."""
    row = find_preference(name)
    kept = ask(SetPreferences({name: row.read(value)})).preferences
    if as_json:
        print_json({name: getattr(kept, row.name)})
        return
    click.echo(f"{name} = {_shown(kept, name)}")
    if name == "auto_resume" and kept.auto_resume:
        note("After a reboot this needs a supervisor: put `@reboot saetui supervisor start` into your crontab.")


def _shown(kept: Preferences, name: str) -> str:
    return PREFERENCES[name].show(getattr(kept, name))
