"""The command line itself: help, wrong usage, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import click
import pytest

from saetui import __version__
from saetui.cli.main import COMMANDS, run
from saetui.home import Home
from tests.cli.conftest import Saetui

TORCH_PARTS = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def commands() -> list[tuple[str, click.Command]]:
    """Every command with its path, groups opened."""
    found: list[tuple[str, click.Command]] = []
    for name, (place, _) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(import_module(f"saetui.cli.{module}"), attribute)
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", command.commands[inner]) for inner in command.commands]
        else:
            found.append((name, command))
    return found


def test_help_says_of_each_command_what_the_command_says_of_itself() -> None:
    for place, summary in COMMANDS.values():
        module, _, attribute = place.partition(":")
        command = getattr(import_module(f"saetui.cli.{module}"), attribute)
        assert command.help.splitlines()[0] == summary


def test_every_command_takes_json() -> None:
    without = [path for path, command in commands() if not any("--json" in option.opts for option in command.params)]
    assert without == []


def test_every_option_has_a_help_text() -> None:
    silent = [
        (path, option.name)
        for path, command in commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["train"],
        ["train", "spec.json", "--template", "Demo"],
        ["show"],
        ["stop"],
        ["stop", "a", "--all"],
        ["delete"],
        ["delete", "a", "--all"],
        ["delete", "--status", "running"],
        ["metrics", "a", "--max-points", "0"],
        ["metrics", "a", "--max-points", "many"],
        ["metrics", "a", "--csv", "--json"],
        ["logs", "a", "-f", "--json"],
        ["export", "a"],
        ["export", "a", "out", "--format", "pickle"],
        ["templates", "save"],
        ["templates", "save", "--job", "a", "--file", "b"],
        ["templates", "delete"],
        ["supervisor", "fly"],
    ],
)
def test_wrong_usage_exits_2_with_one_line_that_says_where_to_look(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert "--help`" in printed.err
    if "--json" not in arguments:
        assert printed.out == ""


def test_wrong_usage_is_a_document_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "usage"
    assert "JOB" in error["message"]
    assert "saetui show --help" in error["suggestion"]
    assert error["problems"] == []


def test_a_command_with_a_typing_error_is_answered_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trian"]) == 2
    assert "trian" in capsys.readouterr().err


def test_help_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "supervisor" in capsys.readouterr().out
    assert run(["templates", "apply", "--help"]) == 0


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from saetui.cli.main import run; run(['--help']); print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    ours = [name for name in loaded if name.startswith("saetui.")]
    assert set(ours) == {"saetui.cli", "saetui.cli.main", "saetui.errors"}
    assert not {"msgspec", "asyncio", "textual"} & set(loaded)


def test_no_command_loads_torch() -> None:
    modules = sorted({"saetui.cli." + place.partition(":")[0] for place, _ in COMMANDS.values()})
    code = f"import sys\nfor name in {modules}: __import__(name)\nprint('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "saetui.cli.templates" in loaded
    assert not set(TORCH_PARTS) & set(loaded)
    assert not {"asyncio", "textual", "psutil", "tinydb", "saetui.supervisor", "saetui.training"} & set(loaded)


def test_without_a_terminal_the_screens_are_refused_with_the_way_out(saetui: Saetui) -> None:
    outcome = saetui()
    assert outcome.code == 1
    assert outcome.out == ""
    (line,) = outcome.error_lines
    assert "saetui jobs" in line
    assert "--help" in line


def test_a_reader_that_leaves_early_is_no_error(saetui: Saetui) -> None:
    command = f"{sys.executable} -m saetui models --json | head -c 1"
    finished = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert finished.stderr == ""
    assert finished.returncode == 0


@pytest.mark.parametrize("group", ["config", "cache", "templates", "supervisor"])
def test_a_group_alone_prints_its_usage(group: str, saetui: Saetui) -> None:
    outcome = saetui(group)
    assert outcome.code == 2
    assert outcome.err.startswith(f"Usage: saetui {group} [OPTIONS] COMMAND")
    assert "\\n" not in outcome.err and "..." not in outcome.err.replace("[ARGS]...", "")


def test_the_version_names_what_a_report_needs(saetui: Saetui, home: Home) -> None:
    outcome = saetui("--version")
    names = [line.split(" ", 1)[0] for line in outcome.out.splitlines()]
    assert names == ["saetui", "torch", "transformers", "device", "home"]
    assert outcome.out.splitlines()[0] == f"saetui {__version__}"
    assert outcome.out.splitlines()[-1] == f"home {home.root}"
    assert not home.root.exists()
