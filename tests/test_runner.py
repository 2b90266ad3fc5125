from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saetui import runner
from tests.conditions import eventually, lives

RUNNER = str(Path(runner.__file__))


class Run:
    """A real runner with a small program in the trainer's place."""

    def __init__(self, directory: Path, program: str, **popen: Any) -> None:
        self.directory = directory
        directory.mkdir()
        command = [sys.executable, "-I", "-S", RUNNER, str(directory), "--", sys.executable, "-I", "-S", "-c", program]
        self.process = subprocess.Popen(command, start_new_session=True, **popen)

    def read(self, name: str) -> dict[str, Any]:
        path = self.directory / name
        eventually(path.exists)
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    @property
    def trainer(self) -> int:
        return int(self.read("identity.json")["trainer"]["pid"])

    @property
    def log(self) -> str:
        return (self.directory / "trainer.log").read_text()

    def wait_for_line(self, line: str) -> None:
        eventually(lambda: (self.directory / "trainer.log").exists() and line in self.log)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    runs: list[Run] = []

    def begin(program: str, **popen: Any) -> Run:
        run = Run(tmp_path / f"run{len(runs)}", program, **popen)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        if (run.directory / "identity.json").exists() and lives(run.trainer):
            os.killpg(run.trainer, signal.SIGKILL)
        run.process.kill()
        run.process.wait()


def copied_package(directory: Path) -> Path:
    """All of saetui that the runner loads, in another place."""
    package = directory / "saetui"
    shutil.copytree(Path(RUNNER).parent / "formats", package / "formats")
    for name in ("__init__.py", "failpoints.py", "runner.py"):
        shutil.copy(Path(RUNNER).with_name(name), package)
    return package


WAITS = "import signal, sys, time; print('ready', flush=True); time.sleep(60)"


def test_the_end_of_a_trainer_is_recorded_with_its_exit_code(start: Any) -> None:
    run = start("import sys; print('a line'); sys.exit(3)")
    run.process.wait()
    end = run.read("exit.json")
    assert (end["code"], end["signal"], end["out_of_memory"]) == (3, None, False)
    assert end["ended_at"].endswith("Z")
    assert run.log == "a line\n"


def test_a_killed_trainer_is_recorded_with_its_signal(start: Any) -> None:
    run = start(WAITS)
    os.kill(run.trainer, signal.SIGKILL)
    run.process.wait()
    assert run.read("exit.json")["signal"] == signal.SIGKILL
    assert run.read("exit.json")["code"] is None


def test_sigterm_is_passed_on_to_the_trainer(start: Any) -> None:
    run = start("import signal; print('got', signal.sigwait({signal.SIGTERM}).name)")
    assert run.trainer
    run.process.send_signal(signal.SIGTERM)
    run.process.wait()
    assert run.log == "got SIGTERM\n" or run.read("exit.json")["signal"] == signal.SIGTERM


def test_a_hang_up_ends_neither_runner_nor_trainer(start: Any) -> None:
    run = start(WAITS)
    run.wait_for_line("ready")
    run.process.send_signal(signal.SIGHUP)
    os.kill(run.trainer, signal.SIGHUP)
    run.process.send_signal(signal.SIGTERM)
    run.process.wait()
    assert run.read("exit.json")["signal"] == signal.SIGTERM


def test_the_trainer_outlives_its_runner(start: Any) -> None:
    run = start(WAITS)
    trainer = run.trainer
    run.process.kill()
    run.process.wait()
    assert lives(trainer)


def test_the_trainer_has_a_group_of_its_own_no_input_and_goes_first_when_memory_runs_out(start: Any) -> None:
    run = start("import os, sys; print(os.getpgrp() == os.getpid(), repr(sys.stdin.read())); sys.stderr.write('err')")
    identity = run.read("identity.json")
    run.process.wait()
    assert run.log in ("True ''\nerr", "errTrue ''\n")
    assert identity["runner"]["pid"] == run.process.pid
    assert identity["trainer"]["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_kernel_is_asked_to_kill_the_trainer_first(start: Any) -> None:
    run = start(WAITS)
    assert Path(f"/proc/{run.trainer}/oom_score_adj").read_text().strip() == str(runner.OOM_SCORE_ADJ)


def test_what_the_trainer_left_running_is_ended_and_reaped(start: Any) -> None:
    run = start("import os, time\nchild = os.fork()\nif child == 0: time.sleep(60)\nprint(child, flush=True)")
    run.process.wait()
    assert not lives(int(run.log))


def test_a_command_that_cannot_be_started_is_recorded_too(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-I", "-S", RUNNER, str(tmp_path), "--", "/nowhere/python"], check=False)
    assert json.loads((tmp_path / "exit.json").read_text())["code"] == 127
    assert "could not be started" in (tmp_path / "trainer.log").read_text()


def test_the_runner_loads_nothing_outside_the_standard_library(start: Any) -> None:
    run = start(WAITS)
    assert run.trainer
    loaded = Path(f"/proc/{run.process.pid}/maps").read_text()
    assert "site-packages" not in loaded and "libtorch" not in loaded


def test_a_trainer_that_has_no_handler_yet_survives_the_signal_to_read_its_control_file(start: Any) -> None:
    run = start("import time; print('up', flush=True); time.sleep(60)")
    run.wait_for_line("up")
    os.kill(run.trainer, signal.SIGUSR1)
    assert lives(run.trainer)
    os.kill(run.trainer, signal.SIGTERM)
    assert run.read("exit.json")["signal"] == signal.SIGTERM


def test_a_log_without_end_stays_below_its_limit_and_keeps_its_newest_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is that of the runner's own file: a copy with smaller numbers runs here."""
    text = Path(RUNNER).read_text()
    small = copied_package(tmp_path) / "runner.py"
    for number in ("LOG_BYTES = 64 << 20", "LOG_BYTES_KEPT = 16 << 20", "WATCH_SECONDS = 2.0"):
        assert number in text
    text = text.replace("LOG_BYTES = 64 << 20", "LOG_BYTES = 200_000").replace("16 << 20", "50_000")
    small.write_text(text.replace("WATCH_SECONDS = 2.0", "WATCH_SECONDS = 0.02"))
    monkeypatch.setattr(sys.modules[__name__], "RUNNER", str(small))
    program = """
import os, sys, time
go = os.path.join(sys.argv[1], "go")
number = 0
while not os.path.exists(go):
    os.write(1, f"line {number:07}\\n".encode())
    number += 1
    time.sleep(0.0001)
print("the end", flush=True)
"""
    directory = tmp_path / "run0"
    run = Run(directory, program.replace("sys.argv[1]", repr(str(directory))))
    log = directory / "trainer.log"
    sizes = []

    def was_cut() -> bool:
        if log.exists():
            sizes.append(log.stat().st_size)
        return log.exists() and log.read_bytes()[:16] == b"[saetui removed " and len(sizes) > 3

    eventually(was_cut)
    (directory / "go").touch()
    run.process.wait()
    lines = log.read_text().splitlines()
    assert lines[-1] == "the end"
    numbers = [int(line.split()[1]) for line in lines[1:-1]]
    # This program writes some ten thousand lines a second: one or two may fall into the moment of a cut.
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    assert missing <= 2 and numbers == sorted(set(numbers))
    removed = int(lines[0].split()[2])
    assert 0 <= 13 * numbers[0] - removed <= 13 * 4
    assert run.read("exit.json")["code"] == 0


def test_temporary_files_of_a_killed_runner_are_swept(tmp_path: Path) -> None:
    directory = tmp_path / "run0"
    directory.mkdir()
    ours = [directory / ".identity.json.4711.tmp", directory / ".exit.json.4711.tmp"]
    notes = directory / ".notes.tmp"
    for path in (*ours, notes):
        path.write_text("half")
    command = [sys.executable, "-I", "-S", RUNNER, str(directory), "--", sys.executable, "-I", "-S", "-c", ""]
    assert subprocess.run(command).returncode == 0
    assert not any(path.exists() for path in ours)
    assert notes.exists(), "what is not the runner's own stays"


def test_a_trainer_whose_directory_is_deleted_is_killed_with_what_it_started(start: Any) -> None:
    run = start("import os, time\nchild = os.fork()\nif child: print(child, flush=True)\ntime.sleep(60)")
    eventually(lambda: (run.directory / "trainer.log").exists() and run.log)
    trainer, child = run.trainer, int(run.log)
    shutil.rmtree(run.directory)
    run.process.wait()
    assert not lives(trainer) and not lives(child) and not run.directory.exists()


def test_a_directory_that_is_moved_takes_the_record_of_the_end_along(start: Any) -> None:
    run = start(WAITS)
    trainer = run.trainer
    run.directory = run.directory.rename(run.directory.with_name("moved"))
    os.kill(trainer, signal.SIGTERM)
    assert run.read("exit.json")["signal"] == signal.SIGTERM


def test_a_trainer_that_starts_while_its_directory_is_deleted_does_not_outlive_it(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "identity.json").mkdir()
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    command = [sys.executable, "-I", "-S", RUNNER, str(directory), "--", sys.executable, "-I", "-S", "-c", program]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        eventually(lambda: (directory / "trainer.log").exists() and (directory / "trainer.log").read_text())
        trainer = int((directory / "trainer.log").read_text().split()[0])
        shutil.rmtree(directory)
    assert process.returncode == 0 and not lives(trainer)


@pytest.mark.parametrize("installed", [False, True])
def test_an_update_that_replaces_the_package_under_a_runner_changes_nothing_for_it(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    place = tmp_path / ("site-packages" if installed else "checkout")
    package = copied_package(place)
    (place / "msgspec.py").write_text("raise SystemExit('the runner loads nothing else from here')")
    (place / "json.py").write_text("raise SystemExit('the standard library goes first')")
    monkeypatch.setattr(sys.modules[__name__], "RUNNER", str(package / "runner.py"))
    run = start(WAITS)
    trainer = run.trainer
    shutil.rmtree(package)
    os.kill(trainer, signal.SIGTERM)
    run.process.wait()
    assert run.read("exit.json")["signal"] == signal.SIGTERM


def test_a_runner_takes_little_memory(start: Any) -> None:
    run = start(WAITS)
    assert run.trainer
    private = sum(
        int(line.split()[1])
        for line in Path(f"/proc/{run.process.pid}/smaps_rollup").read_text().splitlines()
        if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )
    assert private < 10_000, f"{private} KiB"


@pytest.mark.parametrize("step", ["write", "fsync", "rename", "directory"])
def test_a_full_disk_delays_the_record_of_the_end_and_loses_nothing(
    start: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setenv("SAETUI_FAILPOINTS", f"runner.{step}=enospc@2")
    run = start("import sys; sys.exit(3)", stderr=subprocess.PIPE, text=True)
    said = run.process.communicate()[1]
    assert run.read("exit.json")["code"] == 3 and run.read("identity.json")
    assert said.startswith("exit.json: ") and not list(run.directory.glob(".*.tmp"))
