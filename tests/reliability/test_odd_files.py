"""In the place of any file there may be a named pipe, a device, a directory or a terabyte: a clear message at once, no hang."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from saetui.cli.main import run
from saetui.jobs.job import Status
from saetui.spec.problems import SpecError
from tests.conditions import eventually
from tests.reliability.machine import ReliableMachine, memory_kib
from tests.supervisor import trainer

HUGE = 3 << 30
Replace = Callable[[Path], None]


def pipe(path: Path) -> None:
    remove(path)
    os.mkfifo(path)


def directory(path: Path) -> None:
    remove(path)
    (path / "inside").mkdir(parents=True)


def huge(path: Path) -> None:
    """A sparse file: it needs no disk space, and all the memory of its reader."""
    remove(path)
    path.touch()
    os.truncate(path, HUGE)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


ODD = (pipe, directory, huge)


@pytest.fixture
def here(machine: ReliableMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ReliableMachine:
    monkeypatch.setenv("SAETUI_HOME", str(machine.home.root))
    monkeypatch.chdir(tmp_path)
    return machine


def test_files_that_a_user_names_are_refused_by_what_they_are(
    here: ReliableMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    here.start()
    odd = {}
    for make, word in ((pipe, "named pipe"), (directory, "directory"), (huge, "at most 1,048,576 are read")):
        make(Path(f"odd-{make.__name__}"))
        odd[f"odd-{make.__name__}"] = word
    for name, word in {**odd, "/dev/zero": "a device"}.items():
        for command in (["templates", "import"], ["train"], ["estimate"], ["templates", "save", "x", "--file"]):
            assert run([*command, name]) == 2, command
            said = capsys.readouterr().err
            assert said.startswith("error: ") and name in said and word in said, said


@pytest.mark.parametrize("replace", ODD)
def test_a_job_whose_logs_were_replaced_is_followed_to_its_end(
    here: ReliableMachine, replace: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    here.trainer = [*here.trainer[:1], str(Path(trainer.__file__))]
    pid = here.start()
    job = here.submit(steps=100_000)
    here.until_step(job.id, 3)
    directory_of = here.run(job.id)
    for path in (directory_of.events, directory_of.training_metrics, directory_of.identity, directory_of.log):
        replace(path)
    here.stop(job.id)
    eventually(lambda: here.job(job.id).status in (Status.STOPPED, Status.FAILED))
    assert here.job(job.id).id == job.id and here.pid == pid
    assert memory_kib(pid, "VmHWM") < 120_000
    for command in (["show", job.id], ["jobs"], ["delete", job.id, "--yes"]):
        code = run(command)
        said = capsys.readouterr().err
        assert code == 0 or said.startswith("error: "), said
    here.until(here.submit(steps=2).id, Status.COMPLETED)


@pytest.mark.parametrize("replace", ODD)
def test_a_supervisor_starts_whatever_lies_in_the_place_of_its_files(here: ReliableMachine, replace: Replace) -> None:
    here.start()
    job = here.submit(steps=2)
    here.until(job.id, Status.COMPLETED)
    here.leave()
    here.supervisor = None
    run_directory = here.run(job.id)
    for path in (
        here.home.store,
        here.home.store.with_name("saetui.json.previous"),
        run_directory.exit,
        run_directory.identity,
        run_directory.events,
        run_directory.path / "control.json",
    ):
        replace(path)
    pid = here.start()
    assert here.job(job.id).status in (Status.COMPLETED, Status.FAILED)
    assert memory_kib(pid, "VmHWM") < 120_000
    here.until(here.submit(steps=2).id, Status.COMPLETED)


def test_locks_that_are_no_files_are_named_before_anything_hangs(
    here: ReliableMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("supervisor.lock", "start.lock"):
        path = here.home.root / name
        here.home.make()
        pipe(path)
        assert run(["jobs"]) == 1
        said = capsys.readouterr().err
        assert f"{path} is not a file" in said and "Move it away" in said
        path.unlink()


@pytest.mark.parametrize("replace", ODD)
def test_a_model_with_an_odd_configuration_is_refused_in_words(here: ReliableMachine, replace: Replace) -> None:
    pid = here.start()
    spec = here.spec(steps=2)
    path = Path(spec["model"]) / "config.json"
    kept = path.read_bytes()
    replace(path)
    with pytest.raises(SpecError, match=r"config\.json"):
        here.submit(steps=2)
    remove(path)
    path.write_bytes(kept)
    weights, index = (Path(spec["model"]) / name for name in ("model.safetensors", "model.safetensors.index.json"))
    # It counts where the weights are in several files.
    aside = weights.rename(weights.with_name("model-00001-of-00001.safetensors"))
    replace(index)
    with pytest.raises(SpecError, match=r"index\.json"):
        here.submit(steps=2)
    remove(index)
    aside.rename(weights)
    assert memory_kib(pid, "VmHWM") < 120_000
    here.until(here.submit(steps=2).id, Status.COMPLETED)


def test_paths_and_names_of_100_000_letters_are_refused_in_words_and_not_repeated_whole(
    here: ReliableMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    here.start()
    long = "x" * 100_000
    for command in (
        ["train", long],
        ["templates", "import", long],
        ["templates", "export", "Demo", "--output", long],
        ["import", long],
        ["eval", long],
        ["export", "nothing", long],
        ["show", long],
        ["templates", "show", long],
        ["estimate", long],
    ):
        assert run(command) in (1, 2), command[:-1]
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1 and len(said) < 600, (command[:-1], said[:600])
