"""The store under every order of changes, failures and restarts: what was acknowledged is there, and nothing else."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from saetui import failpoints
from saetui.errors import HomeError
from saetui.failpoints import parse
from saetui.jobs.job import Status
from saetui.jobs.templates import Template
from saetui.supervisor.record import Record
from saetui.supervisor.store import Store, previous_generation
from tests.supervisor.test_store import record, template

NUMBERS = st.integers(0, 5)
FAILURES = st.sampled_from(
    ["store.previous=enospc", "store.write=enospc", "store.write=short:30", "store.fsync=eio", "store.rename=eacces",
     "store.directory=eio"]
)  # fmt: skip


class StoreMachine(RuleBasedStateMachine):
    """A store beside two dictionaries that say what must be in it."""

    @initialize()
    def open(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "saetui.json"
        self.jobs: dict[str, Record] = {}
        self.templates: dict[str, Template] = {}
        self.deleted: list[str] = []
        self.before: dict[str, Record] = {}
        self.store = Store(self.path)

    @rule(number=NUMBERS, status=st.sampled_from(list(Status)))
    def save_job(self, number: int, status: Status) -> None:
        new = record(number, status)
        self.before = dict(self.jobs)
        self.store.save_jobs([new])
        self.jobs[new.id] = new

    @rule(numbers=st.sets(NUMBERS), status=st.sampled_from(list(Status)))
    def save_jobs(self, numbers: set[int], status: Status) -> None:
        there = [record(number, status) for number in numbers if f"job{number}" in self.jobs]
        self.before = dict(self.jobs)
        self.store.save_jobs(there)
        self.jobs.update({new.id: new for new in there})

    @rule(number=NUMBERS)
    def remove_job(self, number: int) -> None:
        self.before = dict(self.jobs)
        self.store.remove_jobs([f"job{number}"])
        self.jobs.pop(f"job{number}", None)

    @rule(name=st.sampled_from("abc"))
    def save_template(self, name: str) -> None:
        self.store.save_template(template(name))
        self.templates[name] = template(name)
        self.deleted = [other for other in self.deleted if other != name]

    @rule(names=st.sets(st.sampled_from("def")))
    def add_templates(self, names: set[str]) -> None:
        new = [template(name) for name in sorted(names) if name not in self.templates]
        self.store.add_templates(new)
        self.templates.update({added.name: added for added in new})

    @rule(name=st.sampled_from("abcdef"))
    def remove_template(self, name: str) -> None:
        self.store.delete_template(template(name))
        self.templates.pop(name, None)
        self.deleted = [other for other in self.deleted if other != name] + [name]

    @rule(name=st.sampled_from("abc"), failure=FAILURES)
    def fail_at_templates(self, name: str, failure: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(failpoints, "_active", parse(failure.replace("store", "templates")))
            with pytest.raises(HomeError, match=r"templates\.json cannot be written"):
                self.store.save_template(replace(template(name), description="never said to be there"))

    @rule(share=st.floats(0, 0.99), second=st.booleans())
    def tear_templates(self, share: float, second: bool) -> None:
        """Either generation is damaged: nothing is lost, and the user learns where the damaged file is."""
        path = self.directory / "templates.json"
        damaged = previous_generation(path) if second else path
        content = path.read_bytes()
        damaged.unlink()
        damaged.write_bytes(content[: int(len(content) * share)])
        self.store = Store(self.path)
        (loss,) = self.store.losses
        assert loss.file == str(damaged) and loss.lost.startswith("nothing") and loss.moved_to is not None
        assert Path(loss.moved_to).read_bytes() == content[: int(len(content) * share)]
        assert path.read_bytes() == previous_generation(path).read_bytes() == content

    @rule(number=NUMBERS, failure=FAILURES, removes=st.booleans())
    def fail(self, number: int, failure: str, removes: bool) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(failpoints, "_active", parse(failure))
            with pytest.raises(HomeError):
                if removes:
                    self.store.remove_jobs([f"job{number}"])
                else:
                    self.store.save_jobs([record(number, Status.LOST)])
        if not failure.startswith("store.previous"):
            self.before = dict(self.jobs)

    @rule()
    def restart(self) -> None:
        self.store = Store(self.path)
        assert self.store.sound

    @precondition(lambda self: previous_generation(self.path).exists())
    @rule(share=st.floats(0, 0.99))
    def tear(self, share: float) -> None:
        """The file is damaged by something that is not us: the generation before it comes back."""
        content = self.path.read_bytes()
        # Another file under its name: after a failed write both generations are one file.
        self.path.unlink()
        self.path.write_bytes(content[: int(len(content) * share)])
        self.store = Store(self.path)
        assert not self.store.sound
        self.jobs = {found.id: found for found in self.store.jobs()}
        assert self.jobs == self.before
        previous_generation(self.path).unlink(missing_ok=True)

    @invariant()
    def what_was_acknowledged_is_there_and_nothing_else(self) -> None:
        if hasattr(self, "store"):
            assert {found.id: found for found in self.store.jobs()} == self.jobs
            assert {found.id: found for found in self.store.templates()} == self.templates
            assert [found.id for found in self.store.deleted_templates()] == self.deleted
            assert not list(self.directory.glob(".*.tmp"))

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
