"""What the commands print: one JSON document or a table on standard output, notes and errors on standard error."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import click

from saetui.cli.candidates import complete_jobs
from saetui.display.text import cells, plain, shorten
from saetui.errors import SaetuiError
from saetui.spec.problems import Problem, SpecError, errors_of, warnings_of

Command = TypeVar("Command", bound=Callable[..., object])

FAILED = 1
WRONG_USAGE = 2
_BETWEEN = "  "
_NARROWEST = 8


class Group(click.Group):
    """A group whose help has the whole first line of each command's help: click cuts them, also after `e.g.`."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (self.commands[name].help or "").split("\n")[0]) for name in sorted(self.commands)]
            )


def json_option(command: Command) -> Command:
    """The `--json` that every command takes."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")(command)


def job_argument(command: Command) -> Command:
    """The argument JOB, and a sentence about it in the command's help."""
    return click.argument("job", shell_complete=complete_jobs)(explain_job(command))


def explain_job(command: Command) -> Command:
    """Add to a command's help which names a job has."""
    command.__doc__ = f"{command.__doc__}\n\n    JOB is an id, the beginning of one id, or a name.\n    "
    return command


def print_json(document: object) -> None:
    """Print a document of structs, lists and dicts; numbers that are not finite become null.

    Everything outside ASCII is escaped, so that nothing in a name can act on a terminal, whatever its encoding.
    """
    import msgspec

    plain_document = msgspec.to_builtins(document)
    if isinstance(plain_document, list):
        print_json_rows(plain_document)
    else:
        click.echo(json.dumps(_finite(plain_document), indent=2, allow_nan=False))


def print_json_rows(elements: Iterable[object]) -> None:
    """Print a list as `print_json` does, each element as it comes: long ones are quick to search, and never in memory whole."""
    before = "[\n"
    for element in elements:
        # click flushes after each echo, which takes more time than the rest.
        sys.stdout.write(before + json.dumps(_finite(element), allow_nan=False))
        before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")


def print_result(document: object, as_json: bool, shown: str | Callable[[], None]) -> None:
    """Print a document with `--json`; otherwise what is `shown`: a text, or what a function prints."""
    if as_json:
        print_json(document)
    elif isinstance(shown, str):
        click.echo(shown)
    else:
        shown()


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        drops: on a terminal that is too narrow it is left out, with all others that drop.
        gives_way: it is cut where the others still do not fit.
    """

    title: str
    right: bool = False
    drops: bool = False
    gives_way: bool = False


def right(*titles: str) -> list[Column]:
    """Columns of figures."""
    return [Column(title, right=True) for title in titles]


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], colours: Sequence[str | None] | None = None
) -> None:
    """Print aligned columns. On a terminal they are cut to its width, elsewhere nothing is lost.

    Args:
        columns: their titles and alignment.
        rows: one text for each column; control characters are written out.
        colours: for each row the colour of its second cell (the state), where colours are shown at all.
    """
    texts = [[plain(cell) for cell in row] for row in rows]
    titles = [column.title for column in columns]
    widths = [max(cells(row[index]) for row in [titles, *texts]) for index in range(len(columns))]
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
        kept = [index for index, column in enumerate(columns) if not column.drops]
        if _width(widths) > room and len(kept) < len(columns):
            print_table([columns[index] for index in kept], [[row[index] for index in kept] for row in rows], colours)
            return
        _narrow(widths, columns, room)
    click.echo(_line(columns, titles, widths))
    for number, row in enumerate(texts):
        colour = colours[number] if colours is not None and shows_colour() else None
        click.echo(_line(columns, row, widths, colour))


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print titles and values, the values aligned."""
    pairs = [(title, plain(value)) for title, value in facts]
    width = max((len(title) for title, _ in pairs), default=0)
    for title, value in pairs:
        click.echo(f"{title:<{width}}  {value}")


def note(message: str) -> None:
    """Print a message to standard error."""
    click.echo(plain(message), err=True)


def warn(problems: Iterable[Problem]) -> None:
    """Print warnings, which do not end the command."""
    for problem in problems:
        note(f"warning: {problem.sentence()}")


def confirmed(question: str, as_json: bool) -> bool:
    """Ask on the terminal; no is the default.

    Raises:
        click.UsageError: nobody is there to answer.
    """
    if as_json or not sys.stdin.isatty():
        raise click.UsageError("This command asks before it removes anything, and nobody can answer here: add --yes.")
    return click.confirm(plain(question), default=False, err=True)


def shows_colour() -> bool:
    """Whether standard output is a terminal that shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def report_error(error: SaetuiError, as_json: bool) -> int:
    """Print an error, each problem of a spec on a line of its own. Returns the exit status."""
    problems = error.problems if isinstance(error, SpecError) else ()
    for problem in errors_of(problems):
        note(f"error: {problem.sentence()}")
    warn(warnings_of(problems))
    if not problems:
        note(f"error: {error}")
    # A spec that is valid in itself but names a model that cannot be used is an error of the model.
    kinds = [problem.kind for problem in errors_of(problems)]
    kind = error.kind if not kinds or "invalid_input" in kinds else kinds[0]
    if as_json:
        document = {"kind": kind, "message": error.message, "suggestion": error.suggestion, "problems": problems}
        print_json({"error": document})
    return WRONG_USAGE if kind == "invalid_input" else FAILED


def report_usage(error: click.ClickException, as_json: bool) -> int:
    """Print an error in the command line itself. Returns the exit status."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx is not None else "saetui"
    message = error.format_message()
    suggestion = f"See `{path} --help`."
    note(f"error: {message} {suggestion}")
    if as_json:
        print_json({"error": {"kind": "usage", "message": message, "suggestion": suggestion, "problems": []}})
    return error.exit_code


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` is among the options. Click does not parse a wrong command line to its end, so this looks itself."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


def _narrow(widths: list[int], columns: Sequence[Column], available: int) -> None:
    excess = _width(widths) - available
    for index, column in enumerate(columns):
        if column.gives_way and excess > 0:
            given = min(excess, max(0, widths[index] - _NARROWEST))
            widths[index] -= given
            excess -= given


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + len(_BETWEEN) * (len(widths) - 1)


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int], colour: str | None = None) -> str:
    parts = []
    for index, (column, cell, width) in enumerate(zip(columns, row, widths)):
        text = shorten(cell, width)
        blanks = " " * (width - cells(text))
        if colour is not None and index == 1:
            text = click.style(text, fg=colour)
        parts.append(blanks + text if column.right else text + blanks)
    return _BETWEEN.join(parts).rstrip()
