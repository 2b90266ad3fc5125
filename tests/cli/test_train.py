"""A spec becomes a job; `--wait` stays with it, and leaving does not end it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

from saetui.display.sparkline import BARS
from saetui.home import Home
from tests.cli.conftest import SITES, Saetui, Trained, run_saetui, small_spec
from tests.conditions import eventually


def test_a_job_that_was_waited_for_is_printed_when_it_has_completed(trained: Trained) -> None:
    job = trained.job
    assert job["status"] == "completed"
    assert job["step"] == job["num_steps"] == 30
    assert job["progress"] == 1
    assert job["error"] is None
    assert job["eta_seconds"] is None
    assert job["tokens_per_second"] is None
    assert set(job["metrics"]) == set(SITES)
    for figures in job["metrics"].values():
        assert figures["fvu"] > 0
        assert 0 < figures["l0"] <= 8


def test_a_job_that_is_not_waited_for_comes_back_at_once(saetui: Saetui, tmp_path: Path) -> None:
    outcome = saetui("train", small_spec(tmp_path, hyperparameters={"num_steps": 100_000}), "--json")
    assert outcome.code == 0
    assert outcome.document["status"] in ("queued", "starting", "running")
    assert outcome.document["ended_at"] is None


def test_an_override_reaches_the_job(saetui: Saetui, tmp_path: Path) -> None:
    file = small_spec(tmp_path, hyperparameters={"num_steps": 100_000})
    job = saetui("train", file, "-o", "k=16", "-o", "layers=1,3", "-o", "name=other", "--json").document
    spec = json.loads((Path(job["directory"]) / "spec.json").read_text())
    assert spec["hyperparameters"]["k"] == 16
    assert job["layers"] == spec["layers"] == [1, 3]
    assert job["name"] == "other"


def test_relative_paths_count_from_the_current_directory(saetui: Saetui, tmp_path: Path) -> None:
    file = small_spec(tmp_path, dataset={"source": "text.txt", "context_length": 32})
    job = saetui("train", file.name, "--json", directory=tmp_path).document
    spec = json.loads((Path(job["directory"]) / "spec.json").read_text())
    assert spec["dataset"]["source"] == str(tmp_path / "text.txt")


def test_on_a_terminal_progress_is_one_line_that_is_written_over(home: Home, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    command = [sys.executable, "-m", "saetui", "train", str(small_spec(tmp_path)), "--wait"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("TMUX", None)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as waiting:
        os.close(theirs)
        shown = b""
        while part := read_terminal(ours):
            shown += part
        assert waiting.wait(timeout=60) == 0
    os.close(ours)
    warnings, _, progress = shown.decode().partition("\r\x1b[K")
    assert "warning: num_steps" in warnings
    assert progress.count("\n") == 1
    progress, _, notice = progress.partition("\n")
    assert notice.startswith("\a\x1b]9;small completed after "), "the bell, and a notice of the desktop"
    updates = progress.rstrip().split("\r\x1b[K")
    assert "✓ completed" in updates[-1]
    assert "30/30" in updates[-1]
    assert any(bar in updates[-1] for bar in BARS), "the curve of the FVU"
    assert max(map(len, updates)) < 60


def read_terminal(descriptor: int) -> bytes:
    """The next part of what was printed; empty when nobody prints any more."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""  # how Linux says that the other end was closed


def test_leaving_with_ctrl_c_says_that_the_job_goes_on_and_it_does(home: Home, tmp_path: Path) -> None:
    file = small_spec(tmp_path, hyperparameters={"num_steps": 1_000_000})
    waiting = subprocess.Popen(
        [sys.executable, "-m", "saetui", "train", file, "--wait", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = eventually(lambda: run_saetui("jobs", "--status", "running", "--json").document, seconds=60)
    os.kill(waiting.pid, signal.SIGINT)
    out, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 1
    assert "goes on" in err
    assert f"saetui stop {started[0]['id']}" in err
    assert json.loads(out)["id"] == started[0]["id"]
    before = run_saetui("show", "small", "--json").document["step"]
    eventually(lambda: run_saetui("show", "small", "--json").document["step"] > before, seconds=60)


def test_a_stopped_job_makes_waiting_fail(home: Home, tmp_path: Path) -> None:
    file = small_spec(tmp_path, hyperparameters={"num_steps": 1_000_000})
    with subprocess.Popen(
        [sys.executable, "-m", "saetui", "train", file, "--wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        # A job that is stopped before its first step has no SAE to name.
        eventually(lambda: [job["step"] for job in run_saetui("jobs", "--json").document if job["step"]], seconds=60)
        assert run_saetui("stop", "small").code == 0
        out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert "stopped at step" in out
    assert str(home.runs) in out
    assert "running" in err
