"""Every file of a job cut at every byte, filled with zeros, with bits flipped: refused or repaired with a message, never wrong."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from saetui import runner
from saetui.errors import FormatError
from saetui.jobs.job import Job, Status
from saetui.launch.identity import read_identities
from saetui.rundir.checkpoints import list_checkpoints, newest_sound
from saetui.rundir.control import Control, read_control, write_control
from saetui.rundir.events import DAMAGED, read_events
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from saetui.supervisor.outcome import judge, read_exit
from saetui.supervisor.record import Record, copy_path, rebuild, write_copy
from saetui.supervisor.store import Store, previous_generation
from saetui.training.control import Requests
from tests.reliability.trainer import SITE, Training, state_after

STEPS, INTERVAL = 12, 4
FLIPS = 150


class Refused:
    """What a reader that refuses is taken to have returned."""

    def __repr__(self) -> str:
        return "refused"


REFUSED = Refused()


@dataclass(frozen=True)
class Finished:
    """A job that has ended, with every file that a job may have."""

    run: RunDirectory
    record: Record
    store: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = tmp_path_factory.mktemp("damage")
    run = RunDirectory(root / "abcdefgh")
    spec = {"name": "n", "architecture": "topk", "model": "m", "layers": [1], "hook_points": ["resid_post"], "seed": 3}
    run.create({**spec, "hyperparameters": {"num_steps": STEPS, "checkpoint_interval": INTERVAL}})
    write_control(run, Control(checkpoints=3))
    training = Training(run, Requests(run))
    training.events.append("ended", training.go(), step=STEPS, data={"outcome": "completed", "step": STEPS})
    before = Path.cwd()
    os.chdir(run.path)
    try:
        runner.write("identity.json", {"runner": runner.identity(1), "trainer": runner.identity(1)})
        runner.write_exit(code=0, killer=None, out_of_memory=False)
    finally:
        os.chdir(before)
    record = Record(job=_job(run), device="cpu")
    write_copy(record)
    store = Store(root / "saetui.json")
    store.save_jobs([record])
    return Finished(run, record, root / "saetui.json")


def _job(run: RunDirectory) -> Job:
    return Job(
        id=run.path.name, name="n", status=Status.COMPLETED, architecture="topk", model="m", layers=(1,),
        hook_points=("resid_post",), directory=str(run.path), created_at="2026-11-21T10:00:00Z", step=STEPS,
    )  # fmt: skip


def damages(content: bytes, seed: int, *, every: int = 1) -> Iterator[bytes]:
    """Cut at every byte (or every so many), the rest there or zero; and with one, two or three bits flipped."""
    for cut in range(0, len(content), every):
        yield content[:cut]
        yield content[:cut] + bytes(len(content) - cut)
    chance = random.Random(seed)
    for _ in range(FLIPS):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield bytes(damaged)
    yield content + bytes(100)


def with_damage(path: Path, read: Callable[[], Any], *, every: int = 1) -> Iterator[tuple[bytes, Any]]:
    """Each damage with what a reader makes of it; the file is whole again afterwards."""
    content = path.read_bytes()
    try:
        for damaged in damages(content, len(content), every=every):
            if damaged != content:
                path.write_bytes(damaged)
                try:
                    yield damaged, read()
                except FormatError as error:
                    assert error.suggestion and str(path.parent) in error.message
                    yield damaged, REFUSED
    finally:
        path.write_bytes(content)


READERS: dict[str, tuple[Callable[[RunDirectory], Path], Callable[[RunDirectory], Any]]] = {
    "spec.json": (lambda run: run.spec, lambda run: run.read_spec()),
    "spec.json.sha256": (lambda run: run.spec_checksum, lambda run: run.read_spec()),
    "control.json": (lambda run: run.path / "control.json", read_control),
    "identity.json": (lambda run: run.identity, lambda run: read_identities(run.identity) or REFUSED),
    "exit.json": (lambda run: run.exit, lambda run: read_exit(run.exit) or REFUSED),
}


@pytest.mark.parametrize("name", READERS)
def test_a_small_file_is_refused_or_says_what_it_said(finished: Finished, name: str) -> None:
    place, read = READERS[name]
    sound = read(finished.run)
    assert sound is not REFUSED
    for damaged, found in with_damage(place(finished.run), lambda: read(finished.run)):
        assert found is REFUSED or found == sound, damaged


def test_the_copy_of_the_record_is_what_it_was_or_the_job_is_rebuilt_from_its_spec(finished: Finished) -> None:
    for damaged, found in with_damage(copy_path(finished.run), lambda: rebuild(finished.run)):
        assert found is not None
        assert found == finished.record or found.job.status is Status.STARTING, damaged
        assert (found.job.name, found.job.layers) == ("n", (1,))


@pytest.mark.parametrize("log", ["training_metrics", "job_metrics"])
def test_a_metric_log_loses_what_is_damaged_and_nothing_else(finished: Finished, log: str) -> None:
    path: Path = getattr(finished.run, log)

    def read() -> list[tuple[int, str, dict[str, float]]]:
        reader = MetricReader(path)
        reader.poll()
        return list(reader.rows())

    sound, size = read(), path.stat().st_size
    assert len(sound) == STEPS
    for damaged, found in with_damage(path, read):
        if found is not REFUSED:
            assert [row for row in sound if row in found] == found, damaged
            assert len(found) >= STEPS - 3 or len(damaged) < size or damaged.endswith(bytes(8)), damaged


def test_an_event_log_loses_what_is_damaged_and_says_so(finished: Finished) -> None:
    sound = read_events(finished.run.events)
    size = finished.run.events.stat().st_size
    for damaged, found in with_damage(finished.run.events, lambda: read_events(finished.run.events)):
        kept = [event for event in found if event.message != DAMAGED]
        assert [event for event in sound if event in kept] == kept, damaged
        if len(damaged) == size and not damaged.endswith(bytes(8)) and damaged.endswith(b"\n"):
            assert len(kept) < len(found), damaged


@pytest.mark.parametrize("name", ["manifest.json", "state.json", "weights"])
def test_a_damaged_checkpoint_is_never_resumed_from(finished: Finished, name: str) -> None:
    directory = finished.run.checkpoints
    newest = list_checkpoints(directory)[-1]
    before = list_checkpoints(directory)[-2]
    every = 1 if name != "weights" else 97
    for damaged, found in with_damage(newest.path / name, lambda: newest_sound(directory), every=every):
        assert found == before, damaged


def test_an_end_is_told_as_it_was_or_as_not_known(finished: Finished) -> None:
    job = finished.record.job
    for path in (finished.run.exit, finished.run.identity, finished.run.events):
        for damaged, outcome in with_damage(path, lambda: judge(job, finished.run, _last_word(finished.run)), every=3):
            assert outcome.status in (Status.COMPLETED, Status.FAILED), damaged
            assert outcome.status is Status.COMPLETED or path == finished.run.events


def _last_word(run: RunDirectory) -> Any:
    return next((event for event in reversed(read_events(run.events)) if event.kind == "ended"), None)


def test_a_damaged_store_is_moved_aside_and_the_generation_before_it_is_used(finished: Finished) -> None:
    previous_generation(finished.store).write_bytes(finished.store.read_bytes())

    def read() -> list[Record]:
        for aside in finished.store.parent.glob("saetui.json.unreadable-*"):
            aside.unlink()
        return Store(finished.store).jobs()

    for damaged, found in with_damage(finished.store, read, every=7):
        assert found == [finished.record]
        (aside,) = finished.store.parent.glob("saetui.json.unreadable-*")
        assert aside.read_bytes() == damaged


def test_what_was_trained_is_what_an_undisturbed_training_comes_to(finished: Finished) -> None:
    content = (finished.run.result(SITE) / "weights").read_bytes()
    assert int.from_bytes(content, "little") == state_after(STEPS)
