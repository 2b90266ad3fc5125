"""How an error reaches the user: a line each that says what to do, and the exit status that programs read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from saetui.cli.output import print_json, say
from saetui.errors import SaetuiError
from saetui.spec.problems import Problem, SpecError, errors_of, warnings_of

FAILED = 1
WRONG_USAGE = 2


def report_error(error: SaetuiError, as_json: bool) -> int:
    """Print an error, every problem of a spec on a line of its own; the exit status to leave with."""
    problems = error.problems if isinstance(error, SpecError) else ()
    if problems:
        for problem in errors_of(problems):
            say(f"error: {problem.sentence()}")
        for problem in warnings_of(problems):
            say(f"warning: {problem.sentence()}")
    else:
        say(f"error: {error}")
    kind = _kind(error, problems)
    if as_json:
        document = {"kind": kind, "message": error.message, "suggestion": error.suggestion, "problems": problems}
        print_json({"error": document})
    return WRONG_USAGE if kind == "invalid_input" else FAILED


def report_usage(error: click.ClickException, as_json: bool) -> int:
    """Print what was wrong with the command line itself."""
    path = "saetui"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
    message = error.format_message()
    suggestion = f"See `{path} --help`."
    say(f"error: {message} {suggestion}")
    if as_json:
        print_json({"error": {"kind": "usage", "message": message, "suggestion": suggestion, "problems": []}})
    return error.exit_code


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` is among the options; looked up by hand, since a wrong command line is not parsed to its end."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def command_line(*words: str) -> str:
    """A command that the user can copy into a shell."""
    return shlex.join(words)


def _kind(error: SaetuiError, problems: Sequence[Problem]) -> str:
    """A spec that is sound in itself but names a model that cannot be used is an error of the model."""
    kinds = [problem.kind for problem in errors_of(problems)]
    if not kinds or "invalid_input" in kinds:
        return error.kind
    return kinds[0]
