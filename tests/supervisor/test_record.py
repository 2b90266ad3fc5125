"""A record that is read back from a job's directory is as harmless as one that was made here."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from saetui.formats.names import is_name
from saetui.formats.sealed import seal
from saetui.jobs.job import Job, Status
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.record import CPU, Record, copy_path, rebuild


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07evil", "two\nlines", "../../etc", "\u202etxt", "x" * 500, ""])
def test_the_name_of_a_rebuilt_job_is_one_that_a_job_may_have(tmp_path: Path, name: str) -> None:
    run = RunDirectory(tmp_path / "abcdefgh")
    run.path.mkdir()
    job = Job(
        id="abcdefgh", name=name, status=Status.COMPLETED, architecture="topk", model="m", layers=(1,),
        hook_points=("resid_post",), directory="/elsewhere", created_at="2026-01-01T00:00:00.000Z",
    )  # fmt: skip
    copy_path(run).write_bytes(seal(msgspec.json.encode(Record(job=job, device=CPU))))
    rebuilt = rebuild(run)
    assert rebuilt is not None and is_name(rebuilt.job.name)
    assert (rebuilt.id, rebuilt.job.directory) == ("abcdefgh", str(run.path))


def test_the_name_in_a_spec_is_cleaned_too(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "abcdefgh")
    spec = {"name": "a\x1b[31m\nb", "architecture": "topk", "model": "m", "layers": [1], "hook_points": ["resid_post"]}
    run.create(spec)
    rebuilt = rebuild(run)
    assert rebuilt is not None and is_name(rebuilt.job.name)
