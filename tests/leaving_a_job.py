"""A test that never ends, with a supervisor and a job that runs: not collected, but run by test_reaper.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

from saetui.jobs.job import Status
from tests.supervisor.conftest import Machine, machine

__all__ = ["machine"]


def test_never_ends(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    Path(os.environ["READY"]).write_text(os.environ["SAETUI_TEST_SESSION"])
    time.sleep(600)
