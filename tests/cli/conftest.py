"""Running `saetui` as a user's shell does."""

from __future__ import annotations

import argparse
import importlib.util
import json
import json.decoder
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from saetui.home import Home
from saetui.torch_import import environment_key
from tests.conftest import end_processes_of


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its standard output, which is one JSON document."""
        return json.loads(self.out)

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Saetui = Callable[..., Outcome]


def run_saetui(
    *arguments: str | Path,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    typed: str | None = None,
) -> Outcome:
    """Run one command to its end, without a terminal.

    Args:
        arguments: of the command line.
        directory: the current one of the command.
        environment: set on top of the test's own.
        typed: its standard input; None: empty.
    """
    variables = {**os.environ, "NO_COLOR": "1", **(environment or {})}
    if arguments[:1] in (("train",), ("demo",)) and "PYTHONPATH" not in (environment or {}):
        remember_torch(Home(Path(variables["SAETUI_HOME"])))
    finished = subprocess.run(
        [sys.executable, "-m", "saetui", *map(str, arguments)],
        cwd=directory,
        env=variables,
        input=typed if typed is not None else "",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Outcome(finished.returncode, finished.stdout, finished.stderr)


def remember_torch(home: Home) -> None:
    """Note in a home that this torch can be imported, as its first training does: each test's own home would take seconds."""
    if importlib.util.find_spec("torch") is not None and not home.torch.exists():
        home.make()
        home.torch.write_text(environment_key())


@pytest.fixture
def saetui(home: Home) -> Saetui:
    """The command, with a home of its own."""
    return run_saetui


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One home, and so one supervisor, for all tests of a file that leave nothing behind in it."""
    made = Home(tmp_path_factory.mktemp("shared") / "home")
    yield made
    end_processes_of(made)


@pytest.fixture
def shared(shared_home: Home) -> Saetui:
    """The command, with the file's shared home."""
    return partial(run_saetui, environment={"SAETUI_HOME": str(shared_home.root)})


@dataclass(frozen=True)
class Trained:
    """A job that has completed, in a home of its own; tests only read it."""

    home: Home
    job: dict[str, Any]
    saetui: Saetui

    @property
    def directory(self) -> Path:
        return Path(self.job["directory"])


SITES = ("layer_1.resid_post", "layer_2.resid_post")


def needs_trainer() -> None:
    """Skip where no trainer can run: the bare environment of `make test-bare` has no torch, on purpose."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("trains for real, which needs torch; make test runs it")


def small_spec(directory: Path, **changes: Any) -> Path:
    """A spec file of a training of a few seconds, on a small text beside it."""
    needs_trainer()
    text = directory / "text.txt"
    text.write_text(Path(json.decoder.__file__).read_text() + Path(argparse.__file__).read_text())
    spec: dict[str, Any] = {
        "name": "small",
        "model": "bundled:tiny",
        "dataset": {"source": str(text), "context_length": 32},
        "layers": [1, 2],
        "architecture": "topk",
        "hyperparameters": {
            "k": 8,
            "expansion_factor": 2,
            "batch_size": 512,
            "num_steps": 30,
            "log_interval": 5,
            "eval_interval": 15,
            "checkpoint_interval": 20,
        },
        "device": "cpu",
    }
    hyperparameters = {**spec["hyperparameters"], **changes.pop("hyperparameters", {})}
    file = directory / "spec.json"
    file.write_text(json.dumps({**spec, **changes, "hyperparameters": hyperparameters}))
    return file


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A small job with two sites, trained for real once."""
    directory = tmp_path_factory.mktemp("trained")
    home = Home(directory / "home")
    command: Saetui = partial(run_saetui, environment={"SAETUI_HOME": str(home.root)})
    outcome = command("train", small_spec(directory), "--wait", "--json")
    assert outcome.code == 0, outcome.err
    yield Trained(home, outcome.document, command)
    end_processes_of(home)
