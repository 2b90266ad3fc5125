"""The demo without a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from saetui.home import Home
from tests.cli.conftest import needs_trainer, run_saetui
from tests.conditions import eventually


@pytest.mark.slow
def test_a_demo_that_runs_is_shown_and_not_doubled(home: Home) -> None:
    needs_trainer()
    command = [sys.executable, "-m", "saetui", "demo"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: run_saetui("jobs", "--status", "running", "--json").document, seconds=60)
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    printed = second.stderr
    assert printed is not None
    eventually(lambda: "running" in printed.readline(), seconds=20)
    assert [job["name"] for job in run_saetui("jobs", "--json").document] == ["demo"]
    for client in (first, second):
        os.kill(client.pid, signal.SIGINT)
        _, err = client.communicate(timeout=20)
        assert client.returncode == 1
        assert "goes on" in err
    assert run_saetui("stop", "demo").code == 0
    eventually(lambda: run_saetui("jobs", "--status", "stopped", "--json").document, seconds=60)
    third = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: len(run_saetui("jobs", "--json").document) == 2, seconds=20)
    assert [job["name"] for job in run_saetui("jobs", "--json").document] == ["demo", "demo_2"]
    third.kill()
    third.communicate()
