"""No process is left behind by tests that are ended from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conditions import eventually, lives
from tests.reaper import VARIABLE, started_with

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with a worker"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_what_an_ended_run_has_started_ends_too(number: int, workers: tuple[str, ...], tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, "tests/leaving_a_job.py"],
        cwd=ROOT,
        env={**os.environ, "READY": str(ready), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mark = eventually(lambda: ready.exists() and ready.read_text(), seconds=60)
    assert mark
    started = started_with(VARIABLE, mark)
    assert len(started) >= 3, "supervisor, runner and trainer"
    run.send_signal(number)
    run.wait()
    assert eventually(lambda: not started_with(VARIABLE, mark))
    # A process that is ending loses its environment a moment before it is gone.
    assert eventually(lambda: not any(map(lives, started)))
