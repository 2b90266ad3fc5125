from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from saetui.jobs.job import Job, Status
from saetui.launch.identity import boot_id
from saetui.rundir.events import LoggedEvent
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.outcome import judge


def job(status: Status) -> Job:
    return Job(
        id="a",
        name="a",
        status=status,
        architecture="topk",
        model="m",
        layers=(1,),
        hook_points=("resid_post",),
        directory="/d",
        created_at="then",
    )


def reported(outcome: str, **data: Any) -> LoggedEvent:
    return LoggedEvent(time="then", kind="ended", message="", step=3, data={"outcome": outcome, **data})


def run_with(path: Path, *, code: int | None = None, killer: int | None = None, oom: bool = False) -> RunDirectory:
    run = RunDirectory(path)
    run.events.touch()
    run.exit.write_text(json.dumps({"code": code, "signal": killer, "out_of_memory": oom, "ended_at": "then"}))
    return run


@pytest.mark.parametrize("outcome", ["completed", "stopped", "failed"])
def test_the_trainers_own_report_counts_before_its_exit_code(tmp_path: Path, outcome: str) -> None:
    run = run_with(tmp_path, killer=signal.SIGSEGV)
    assert judge(job(Status.RUNNING), run, reported(outcome)).status.value == outcome


def test_out_of_memory_says_what_to_make_smaller(tmp_path: Path) -> None:
    outcome = judge(job(Status.RUNNING), run_with(tmp_path, killer=signal.SIGKILL, oom=True), None)
    assert outcome.status is Status.FAILED and outcome.error is not None
    assert outcome.error.kind == "killed" and "micro_batch_size" in (outcome.error.suggestion or "")


def test_sigterm_is_a_stop_only_when_someone_asked_for_it(tmp_path: Path) -> None:
    run = run_with(tmp_path, killer=signal.SIGTERM)
    assert judge(job(Status.STOPPING), run, None).status is Status.STOPPED
    assert judge(job(Status.RUNNING), run, None).status is Status.FAILED


def test_no_exit_and_another_boot_is_lost_and_no_exit_alone_is_not_known(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for boot, status in (("another", Status.LOST), (boot_id(), Status.FAILED)):
        who = {"pid": 1, "start": 1, "boot": boot}
        run.identity.write_text(json.dumps({"runner": who, "trainer": who}))
        assert judge(job(Status.RUNNING), run, None).status is status
    assert judge(job(Status.RUNNING), run, reported("completed")).status is Status.COMPLETED


def test_a_damaged_exit_file_is_as_good_as_none(tmp_path: Path) -> None:
    run = run_with(tmp_path, code=0)
    run.exit.write_text('{"code": ')
    assert judge(job(Status.RUNNING), run, None).status is Status.FAILED


def test_escape_sequences_of_a_log_do_not_reach_the_terminal(tmp_path: Path) -> None:
    run = run_with(tmp_path, code=1)
    run.log.write_bytes(b"before\n\x1b]0;title\x07\x9b31mlast \xff word\n\n")
    error = judge(job(Status.RUNNING), run, None).error
    assert error is not None and "last" in error.message
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in error.message)
