"""What is said of a job that has ended, and how a terminal is asked to show it."""

from __future__ import annotations

import msgspec
import pytest

from saetui.jobs.job import Job, JobError, Status
from saetui.jobs.notices import MOST_CELLS, desktop_notice, ended_notice, has_ended

JOB = Job(
    id="a", name="tiny-topk", status=Status.COMPLETED, architecture="topk", model="m", layers=(1,),
    hook_points=("resid_post",), directory="", created_at="2026-11-21T10:00:00Z", started_at="2026-11-21T10:00:00Z",
    ended_at="2026-11-21T10:20:00Z", metrics={"layer_1.resid_post": {"eval_fvu": 0.0912, "eval_l0": 32.0}},
)  # fmt: skip
FAILED = msgspec.structs.replace(
    JOB, name="gemma", status=Status.FAILED, error=JobError(kind="not_finite", message="The loss is\nnot finite.")
)


def test_a_completed_job_is_said_with_its_time_and_held_out_figures() -> None:
    assert ended_notice([JOB]) == "tiny-topk completed after 20m00s: held-out FVU 0.0912 at L0 32"


def test_a_failed_job_is_said_with_its_reason_on_one_line() -> None:
    assert ended_notice([FAILED]) == "gemma failed: The loss is not finite."


def test_many_are_one_sentence_that_keeps_its_length() -> None:
    assert ended_notice([JOB, FAILED]) == "2 jobs have ended, 1 of them badly: tiny-topk, gemma"
    assert len(ended_notice([JOB] * 100)) <= MOST_CELLS


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (Status.RUNNING, Status.COMPLETED, True),
        (Status.STARTING, Status.FAILED, True),
        (Status.RUNNING, Status.LOST, True),
        (Status.STOPPING, Status.STOPPED, False),
        (Status.COMPLETED, Status.COMPLETED, False),
        (Status.RUNNING, Status.PAUSED, False),
        (None, Status.COMPLETED, False),
    ],
)
def test_only_an_end_that_came_by_itself_is_said(before: Status | None, now: Status, said: bool) -> None:
    known = None if before is None else msgspec.structs.replace(JOB, status=before)
    assert has_ended(known, msgspec.structs.replace(JOB, status=now)) is said


def test_the_sequence_is_the_terminal_s() -> None:
    text = "a; b\x1b]0;x\x07"
    assert desktop_notice("a; b", {"TERM": "xterm-256color"}) == "\x1b]9;a; b\x1b\\"
    assert desktop_notice("a; b", {"TERM": "foot"}) == "\x1b]777;notify;saetui;a, b\x1b\\"
    assert desktop_notice("a", {"TERM": "tmux", "TMUX": "x"}) == "\x1bPtmux;\x1b\x1b]9;a\x1b\x1b\\\x1b\\"
    assert desktop_notice("a", {"TERM": "dumb"}) == desktop_notice("a", {"TERM": "linux"}) == ""
    assert desktop_notice(text, {"TERM": "xterm"}).count("\x1b") == 2, "no sequence of a name reaches the terminal"
