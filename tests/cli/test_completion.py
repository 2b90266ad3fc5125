"""A shell completes commands, jobs, templates, hyperparameters, layers and files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saetui.home import Home
from saetui.spec.hyperparameters import HYPERPARAMETERS
from tests.cli.conftest import Saetui

ASKS_BASH = """
compopt() { echo compopt "$@"; }
eval "$SCRIPT"
COMP_LINE="$LINE" COMP_POINT=${#LINE}
_saetui_completion saetui
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def commands(tmp_path: Path, shared: Saetui, shared_home: Home) -> dict[str, str]:
    """An environment in which `saetui` is this one, with a supervisor."""
    shared("jobs")
    program = tmp_path / "bin" / "saetui"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m saetui "$@"\n')
    program.chmod(0o700)
    path = f"{program.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SAETUI_HOME": str(shared_home.root)}


def in_bash(line: str, environment: dict[str, str], script: str, directory: Path) -> list[str]:
    """What bash offers for a line with the cursor at its end."""
    done = subprocess.run(
        ["bash", "--norc", "-c", ASKS_BASH], env={**environment, "SCRIPT": script, "LINE": line}, cwd=directory,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [offer for offer in done.stdout.splitlines() if offer]


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("saetui templ", ["templates"]),
        ("saetui templates dup", ["duplicate"]),
        ("saetui train --templ", ["--template"]),
        ("saetui train --template De", ["Demo"]),
        ("saetui templates show Bund", ["'Bundled model with L1'"]),
        ("saetui train -o lr_s", ["compopt -o nospace", "lr_schedule="]),
        ("saetui train he", ["compopt -o default"]),
        ("saetui train -o lr_schedule=co", ["constant", "cosine"]),
        ("saetui train -o tie_weights=", ["true", "false"]),
        ("saetui train -o architecture=skip", ["skip", "skip_transcoder"]),
        ("saetui train -o dataset=bundled:s", ["stdlib"]),
        ("saetui train --template Demo -o layers=", ["0", "1", "2", "3"]),
        ("saetui train --template Demo -o layers=1,", ["1,0", "1,1", "1,2", "1,3"]),
        ("saetui train here.json -o layers=3", ["3"]),
        ("saetui completion z", ["zsh"]),
        ("saetui train -o k=", []),
    ],
)
def test_bash_is_offered(
    line: str, offers: list[str], commands: dict[str, str], shared: Saetui, tmp_path: Path
) -> None:
    (tmp_path / "here.json").write_text(json.dumps({"model": "bundled:tiny"}))
    assert in_bash(line, commands, shared("completion", "bash").out, tmp_path) == offers


def test_every_hyperparameter_is_offered(commands: dict[str, str], shared: Saetui, tmp_path: Path) -> None:
    offers = in_bash("saetui train -o ", commands, shared("completion", "bash").out, tmp_path)
    assert {f"{name}=" for name in HYPERPARAMETERS} <= set(offers)
    assert {"model=", "layers=", "context_length=", "seed="} <= set(offers)


def test_no_supervisor_is_started_for_a_tab(
    commands: dict[str, str], shared: Saetui, home: Home, tmp_path: Path
) -> None:
    elsewhere = {**commands, "SAETUI_HOME": str(home.root)}
    assert in_bash("saetui train --template ", elsewhere, shared("completion", "bash").out, tmp_path) == []
    assert not home.root.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_read_by_its_shell(shell: str, shared: Saetui) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = shared("completion", shell).out
    assert script.strip() == shared("completion", shell, "--json").document["script"]
    subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_zsh_and_fish_are_offered_the_help_too(commands: dict[str, str]) -> None:
    def asked(**variables: str) -> str:
        environment = {**commands, **variables}
        command = [sys.executable, "-m", "saetui"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    zsh = asked(_SAETUI_COMPLETE="zsh_complete", COMP_WORDS="saetui train -o lr_s", COMP_CWORD="3")
    assert zsh.split("\n")[:2] == ["plain", "lr_schedule="]
    fish = asked(_SAETUI_COMPLETE="fish_complete", COMP_WORDS="saetui train -o", COMP_CWORD="lr_schedule=cos")
    assert fish == "plain,lr_schedule=cosine\n"
