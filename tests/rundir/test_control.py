from __future__ import annotations

from pathlib import Path

import pytest

from saetui.errors import FormatError
from saetui.formats.run_files import CONTROL
from saetui.jobs.job import DesiredState
from saetui.rundir.control import Control, read_control, write_control
from saetui.rundir.layout import RunDirectory
from saetui.rundir.retention import Retention


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "job")
    made.create({})
    return made


def test_a_job_of_which_nothing_was_ever_wished_trains(run: RunDirectory) -> None:
    assert read_control(run) == Control(desired_state=DesiredState.RUN, checkpoints=0, retention=None)


def test_what_is_written_is_read(run: RunDirectory) -> None:
    for wishes in (
        Control(desired_state=DesiredState.PAUSE, checkpoints=3),
        Control(desired_state=DesiredState.UNLOAD, retention=Retention(keep_last=7)),
    ):
        write_control(run, wishes)
        assert read_control(run) == wishes
    assert [path.name for path in run.path.glob("*control*")] == [CONTROL]


def test_every_flipped_bit_and_every_torn_tail_is_refused(run: RunDirectory) -> None:
    write_control(run, Control(desired_state=DesiredState.PAUSE, checkpoints=3))
    path = run.path / CONTROL
    content = path.read_bytes()
    damaged = [content[:end] for end in range(len(content))]
    for place in range(len(content)):
        for bit in range(8):
            damaged.append(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
    for bad in damaged:
        path.write_bytes(bad)
        try:
            assert read_control(run) == Control(desired_state=DesiredState.PAUSE, checkpoints=3), bad
        except FormatError as error:
            assert "control.json" in error.message
            assert error.suggestion
