"""The `saetui` command: which commands there are, and how the program is left.

A command's module is imported when it is called: `saetui --help` and a script's `saetui jobs` pay for nothing else.
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
    "demo": ("saetui.cli.demo:demo", "Train an SAE on the bundled model and text."),
    "train": ("saetui.cli.train:train", "Train SAEs as a spec file or a template asks."),
    "jobs": ("saetui.cli.jobs:jobs", "List the jobs."),
    "show": ("saetui.cli.show:show", "Show one job: spec, state, metrics, checkpoints, results."),
    "watch": ("saetui.cli.watch:watch", "Follow a job to its end, in lines of text."),
    "pause": ("saetui.cli.job_commands:pause", "Hold jobs between two steps; queued ones do not start."),
    "resume": ("saetui.cli.job_commands:resume", "Let paused jobs go on, and ended ones from their newest checkpoint."),
    "stop": ("saetui.cli.job_commands:stop", "Stop jobs; each keeps a checkpoint and the SAE as it stands."),
    "checkpoint": ("saetui.cli.job_commands:checkpoint", "Save a checkpoint now."),
    "checkpoints": ("saetui.cli.checkpoints:checkpoints", "List a job's checkpoints, or change which of them stay."),
    "retry": ("saetui.cli.job_commands:retry", "Train ended jobs again from the start."),
    "delete": ("saetui.cli.job_commands:delete", "Delete ended jobs with everything they made."),
    "queue": ("saetui.cli.queue:queue", "Show the queue, or give jobs another place in it."),
    "logs": ("saetui.cli.logs:logs", "Print the end of what a job's trainer wrote."),
    "metrics": ("saetui.cli.metrics:metrics", "Print a job's history as a table, JSON or CSV."),
    "export": ("saetui.cli.export:export", "Copy a job's finished SAEs, for other tools to load."),
    "import": (
        "saetui.cli.imported:import_sae",
        "Copy an SAE in, another tool's or machine's, to evaluate or to train further.",
    ),
    "eval": (
        "saetui.cli.evaluate:evaluate",
        "Evaluate the SAEs of a job, a directory, or an imported one, on held-out text.",
    ),
    "templates": ("saetui.cli.templates:templates", "Save specs under a name and use them again."),
    "models": ("saetui.cli.choices:models", "List the models that can be chosen here."),
    "datasets": ("saetui.cli.choices:datasets", "List the datasets that can be chosen here."),
    "estimate": ("saetui.cli.estimate:estimate_command", "Memory and time of a training, before it starts."),
    "bench": ("saetui.cli.bench:bench", "What this machine can do; estimates of time use it."),
    "cache": ("saetui.cli.cache:cache", "Tokens and activations on disk: made once, used by every job that they fit."),
    "selftest": ("saetui.cli.selftest:selftest", "Recover a planted dictionary with every architecture."),
    "doctor": ("saetui.cli.doctor:doctor", "What is wrong with this machine, and what to do."),
    "config": ("saetui.cli.config:config", "Settings: resume by itself, theme, refresh rate."),
    "supervisor": ("saetui.cli.supervisor:supervisor", "The process that runs the queue; starts by itself."),
}
"""Name → where its command lies, and what it does."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table: help must not import every command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="SAETUI_HOME says where everything is kept. Every command takes --json.",
)
@click.version_option(__version__, message="saetui %(version)s")
@click.pass_context
def saetui(ctx: click.Context) -> int | None:
    """Train sparse autoencoders on your own hardware. Without a command: the screens."""
    if ctx.invoked_subcommand is not None:
        return None
    from saetui.cli.screens import run_screens

    return run_screens()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with 0 (success), 1 (failure) or 2 (wrong usage)."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit status."""
    from saetui.errors import SaetuiError

    _survive_odd_encodings()
    try:
        outcome: Any = saetui.main(list(arguments), prog_name="saetui", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except SaetuiError as error:
        from saetui.cli.refusals import asks_for_json, report_error

        return report_error(error, asks_for_json(arguments))
    except click.ClickException as error:
        from saetui.cli.refusals import asks_for_json, report_usage

        return report_usage(error, asks_for_json(arguments))
    except click.Abort:
        click.echo("error: interrupted.", err=True)
        return 1
    except BrokenPipeError:
        # The reader has gone (`saetui jobs | head`): nothing to say, and the interpreter must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _survive_odd_encodings() -> None:
    """A terminal that cannot show a character gets it escaped; a traceback would help nobody."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
