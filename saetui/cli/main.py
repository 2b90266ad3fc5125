"""The `saetui` command: which commands there are, the way to the screens, and the exit status.

A command's module is imported when the command is called, so `saetui --help` and a script's `saetui jobs` stay quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from saetui import __version__

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo:demo", "Train an SAE on the bundled model and text."),
    "train": ("train:train", "Train SAEs from a spec file or a template."),
    "jobs": ("jobs:jobs", "List the jobs, the oldest first."),
    "show": ("show:show", "Show one job: spec, state, metrics, checkpoints, results."),
    "watch": ("watch:watch", "Follow a job to its end, in lines of text."),
    "pause": ("job_commands:pause", "Pause jobs between two steps; queued ones do not start."),
    "resume": ("job_commands:resume", "Resume paused jobs, and ended ones from their newest checkpoint."),
    "stop": ("job_commands:stop", "Stop jobs; each keeps a checkpoint and the SAE of the step it reached."),
    "checkpoint": ("job_commands:checkpoint", "Save a checkpoint now."),
    "checkpoints": ("checkpoints:checkpoints", "List a job's checkpoints, or change which of them are kept."),
    "retry": ("job_commands:retry", "Train ended jobs again from the start."),
    "delete": ("job_commands:delete", "Delete ended jobs with everything they made."),
    "queue": ("jobs:queue", "Show the queue, or move jobs in it."),
    "logs": ("logs:logs", "Print the end of a job's trainer log."),
    "metrics": ("metrics:metrics", "Print a job's history as a table, JSON or CSV."),
    "export": ("export:export", "Copy a job's finished SAEs, for other tools to load."),
    "import": (
        "imported:import_sae",
        "Import an SAE from another tool or machine, to evaluate it or to train it further.",
    ),
    "eval": ("evaluate:evaluate", "Evaluate the SAEs of a job, a directory, or an imported one, on held-out text."),
    "templates": ("templates:templates", "Save specs under a name and use them again."),
    "models": ("catalog:models", "List the models that can be chosen here."),
    "datasets": ("catalog:datasets", "List the datasets that can be chosen here."),
    "estimate": ("estimate:estimate_command", "Estimate the memory and time of a training."),
    "bench": ("bench:bench", "Measure this machine, for estimates of time."),
    "cache": ("cache:cache", "Manage the tokens and activations on disk."),
    "selftest": ("selftest:selftest", "Recover a planted dictionary with every architecture."),
    "doctor": ("doctor:doctor", "Find what is wrong with this machine, and what to do."),
    "completion": ("completion:completion", "Print the script with which a shell completes commands and names."),
    "config": ("config:config", "Show and change settings: automatic resume, theme, refresh rate."),
    "supervisor": ("supervisor:supervisor", "Manage the process that runs the queue; it starts by itself."),
    "help": ("help:help_command", "Print a page about how saetui works, or the help of a command."),
}
"""Name → the module in saetui.cli and the command in it, and the first line of its help."""


COMPLETE = "_SAETUI_COMPLETE"
"""Set by a shell that asks for completions."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(f"saetui.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table: help must not import every command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


def _print_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    """What a report of a fault needs to say, in five lines."""
    if not wanted or ctx.resilient_parsing:
        return
    from saetui.client.blocking import ask
    from saetui.client.wire import NotRunning
    from saetui.errors import SaetuiError
    from saetui.home import find_home
    from saetui.protocol.messages import Subscribe
    from saetui.torch_packages import installed

    try:
        reading = ask(Subscribe(), start=False).device
        device = "not read yet" if reading is None else reading.name
    except NotRunning:
        device = "not read: no supervisor runs"
    except SaetuiError as error:
        device = f"not read: {error.message}"
    found = installed()
    lines = [("saetui", __version__), ("torch", found.torch), ("transformers", found.transformers)]
    for name, value in (*lines, ("device", device), ("home", str(find_home().root))):
        click.echo(f"{name} {value or 'is not installed'}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="SAETUI_HOME is the directory of all data. Every command takes --json.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
              help="Print the versions of saetui and of what it trains with, the device, and the home.")  # fmt: skip
@click.pass_context
def saetui(ctx: click.Context) -> int | None:
    """Train sparse autoencoders on your own hardware. Opens the screens when no command is given."""
    return run_screens() if ctx.invoked_subcommand is None else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with 0 (success), 1 (failure) or 2 (wrong usage)."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command line. Returns the exit status."""
    from saetui.errors import SaetuiError

    _survive_odd_encodings()
    if COMPLETE in os.environ:
        import_module("saetui.cli.completion")
    try:
        outcome: Any = saetui.main(list(arguments), prog_name="saetui", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except SaetuiError as error:
        from saetui.cli.output import asks_for_json, report_error

        return report_error(error, asks_for_json(arguments))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        from saetui.cli.output import asks_for_json, report_usage

        return report_usage(error, asks_for_json(arguments))
    except click.Abort:
        click.echo("error: interrupted.", err=True)
        return 1
    except BrokenPipeError:
        # The reader has gone (`saetui jobs | head`): the interpreter must not write again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def has_terminal() -> bool:
    """Whether the screens can be shown and keys read."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def run_screens(job: str | None = None) -> int:
    """Run the screens until the user leaves; jobs go on.

    Args:
        job: the id of the job to highlight.

    Raises:
        SaetuiError: there is no terminal for them.
    """
    from saetui.errors import SaetuiError

    if not has_terminal():
        raise SaetuiError(
            "The screens need a terminal, and there is none here (or TERM is dumb).",
            "List jobs with `saetui jobs`; `saetui --help` names every command that works without one.",
        )
    from saetui.home import find_home
    from saetui.tui.session import run as run_app

    return run_app(find_home(), job)


def _survive_odd_encodings() -> None:
    """Escape characters that a terminal cannot show, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
