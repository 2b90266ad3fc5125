"""`saetui help`: the pages of saetui.docs, and the help of a command."""

from __future__ import annotations

import io
import shutil
import sys

import click

from saetui.cli.output import json_option, print_json, print_result
from saetui.docs import read_topic, topics

_WIDEST = 100


@click.command(name="help")
@click.argument("topic", required=False)
@json_option
@click.pass_context
def help_command(ctx: click.Context, topic: str | None, as_json: bool) -> None:
    """Print a page about how saetui works, or the help of a command.

    Without TOPIC, list the pages.
    """
    group = ctx.parent
    assert group is not None and isinstance(group.command, click.Group)
    command = None if topic is None else group.command.get_command(group, topic)
    if topic is None:
        _list(as_json)
    elif command is not None:
        text = command.get_help(click.Context(command, info_name=topic, parent=group))
        print_result({"topic": topic, "title": command.get_short_help_str(200), "text": text}, as_json, text)
    else:
        page = read_topic(topic)
        if as_json:
            print_json({"topic": page.name, "title": page.title, "text": page.text})
        elif sys.stdout.isatty():
            click.echo_via_pager(_drawn(page.text))
        else:
            click.echo(page.text, nl=False)


def _list(as_json: bool) -> None:
    if as_json:
        print_json([{"topic": page.name, "title": page.title} for page in topics()])
        return
    pages = topics()
    width = max(len(page.name) for page in pages)
    for page in pages:
        click.echo(f"{page.name:{width}}  {page.title}")
    click.echo("\n`saetui help TOPIC` prints a page, `saetui help COMMAND` the help of a command.")


def _drawn(text: str) -> str:
    """Markdown as a terminal shows it. rich comes with textual; it is loaded only here."""
    from rich.console import Console
    from rich.markdown import Markdown

    width = min(shutil.get_terminal_size().columns, _WIDEST)
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    with console.capture() as capture:
        console.print(Markdown(text))
    return capture.get()
