"""What every test that starts processes needs: a home of its own, and nothing left running."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from saetui.home import Home
from tests.reaper import started_with, watch

# Tests run side by side: two torch threads that wait for each other on a busy core are slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_DEADLINE_SECONDS = 20.0


def pytest_configure(config: pytest.Config) -> None:
    """Once for a run, not in each of its workers: they carry the run's mark themselves."""
    if not hasattr(config, "workerinput"):
        watch()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """An empty SAETUI_HOME; whatever was started with it is gone when the test is over."""
    made = Home(tmp_path / "home")
    monkeypatch.setenv("SAETUI_HOME", str(made.root))
    yield made
    end_processes_of(made)


def processes_of(home: Home) -> list[int]:
    """Everything alive that was started with this home: supervisor, runners, trainers, clients."""
    return started_with("SAETUI_HOME", str(home.root))


def end_processes_of(home: Home) -> None:
    """Kill them all and see that they are gone, the socket too."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while alive := processes_of(home):
        assert time.monotonic() < deadline, f"processes {alive} of {home.root} do not end"
        for process in alive:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
    home.socket.unlink(missing_ok=True)
