"""Whatever is asked of jobs, in whatever order, with supervisors and trainers killed in between: every step that is seen is
a legal one, nothing that was acknowledged is lost, and every job comes to a known end."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from saetui.client.blocking import ask
from saetui.client.blocking_client import BlockingClient
from saetui.errors import Conflict, SupervisorError
from saetui.jobs.commands import JobCommand, can
from saetui.jobs.job import TRANSITIONS, Job, Status
from saetui.launch.identity import identify, read_identities
from saetui.protocol.messages import CheckpointJobs, Event, GetJobs, JobChanged, MoveJobs, Place, RetryJobs, Snapshot
from saetui.rundir.events import read_events
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually
from tests.supervisor.conftest import Machine

PICK = st.integers(0, 5)


class Witness:
    """A client that sees every state of every job, from one connection to the next."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._client = BlockingClient.connect(machine.home, name="witness")
        self._states: dict[str, Status] = {}
        self.illegal: list[str] = []
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> None:
        """Wait until the connection has ended: its supervisor is gone."""
        self._thread.join()
        self._client.close()

    def _watch(self) -> None:
        try:
            for message in self._client.news():
                self._see(message)
        except SupervisorError:
            return

    def _see(self, message: Snapshot | Event) -> None:
        if isinstance(message, Snapshot):
            self._states = {job.id: job.status for job in message.jobs}
        elif isinstance(message.change, JobChanged):
            job = message.change.job
            before = self._states.get(job.id, Status.QUEUED)
            if job.status is not before and job.status not in TRANSITIONS[before]:
                self.illegal.append(f"{job.name}: {before.value} → {job.status.value}")
            self._states[job.id] = job.status


class Life(RuleBasedStateMachine):
    """Jobs of one home. Rules ask for things; what is legal at that moment must be done, what is not be refused."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.machine = Machine(self.root)
        self.machine.start()
        self.witness = Witness(self.machine)
        self.jobs: list[str] = []
        self.stopped: set[str] = set()
        self.submit(2_000)

    @rule(steps=st.sampled_from([20, 2_000]))
    def submit(self, steps: int) -> None:
        if len(self.jobs) < 5:
            self.jobs.append(self.machine.submit(steps=steps, name=f"job {len(self.jobs)}").id)

    @rule(pick=PICK, unload=st.booleans())
    def pause(self, pick: int, unload: bool) -> None:
        self.ask_for(
            JobCommand.UNLOAD if unload else JobCommand.PAUSE,
            pick,
            lambda job: self.machine.pause(job.id, unload=unload),
        )

    @rule(pick=PICK)
    def resume(self, pick: int) -> None:
        if self.ask_for(JobCommand.RESUME, pick, lambda job: self.machine.resume(job.id)):
            self.stopped.discard(self.job(pick).id)

    @rule(pick=PICK)
    def stop(self, pick: int) -> None:
        if self.ask_for(JobCommand.STOP, pick, lambda job: self.machine.stop(job.id)):
            self.stopped.add(self.job(pick).id)

    @rule(pick=PICK)
    def retry(self, pick: int) -> None:
        if self.ask_for(JobCommand.RETRY, pick, lambda job: ask(RetryJobs((job.id,)), self.machine.home, start=False)):
            self.stopped.discard(self.job(pick).id)

    @rule(pick=PICK)
    def checkpoint(self, pick: int) -> None:
        self.ask_for(
            JobCommand.CHECKPOINT, pick, lambda job: ask(CheckpointJobs((job.id,)), self.machine.home, start=False)
        )

    @rule(pick=PICK, to=st.sampled_from(Place))
    def move(self, pick: int, to: Place) -> None:
        self.ask_for(JobCommand.MOVE, pick, lambda job: ask(MoveJobs((job.id,), to), self.machine.home, start=False))

    @rule(pick=PICK)
    def let_it_train(self, pick: int) -> None:
        job = self.job(pick)
        if job.status is Status.RUNNING:
            eventually(lambda: self.machine.job(job.id).step > job.step or not self.goes(job.id))

    @rule(pick=PICK)
    def kill_the_trainer(self, pick: int) -> None:
        job = self.job(pick)
        who = read_identities(self.machine.run(job.id).identity)
        if job.status is Status.RUNNING and who is not None and identify(who.trainer.pid) == who.trainer:
            os.kill(who.trainer.pid, signal.SIGKILL)
            eventually(lambda: self.machine.job(job.id).status is not Status.RUNNING)

    @rule()
    def kill_the_supervisor(self) -> None:
        self.machine.kill()
        self.witness.end()
        assert self.witness.illegal == []
        self.machine.start()
        self.witness = Witness(self.machine)

    @invariant()
    def no_job_is_lost(self) -> None:
        if hasattr(self, "machine"):
            assert [job.id for job in ask(GetJobs(), self.machine.home, start=False).jobs] == self.jobs

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        try:
            self.come_to_an_end()
        finally:
            left = self.machine.clean()
            self.witness.end()
            shutil.rmtree(self.root)
        assert left == [] and self.witness.illegal == []

    def come_to_an_end(self) -> None:
        """Every job that was stopped stops; every other one is stopped now, whatever it was doing."""
        for job_id in self.jobs:
            if job_id not in self.stopped and not self.machine.job(job_id).status.ended:
                self.stop(self.jobs.index(job_id))
        for job_id in self.jobs:
            ended = self.machine.until(job_id, Status.COMPLETED, Status.STOPPED, Status.FAILED)
            assert not ended.holds_device and ended.queue_rank is None
            self.check_history(ended)

    def check_history(self, job: Job) -> None:
        """No row is missing or doubled, over all attempts; each attempt reported its end at most once."""
        run = self.machine.run(job.id)
        reader = MetricReader(run.training_metrics)
        reader.poll()
        steps = [step for step, _, _ in reader.rows()]
        assert steps == list(range(1, len(steps) + 1))
        kinds = [event.kind for event in read_events(run.events)]
        assert kinds.count("ended") <= kinds.count("started")

    def job(self, pick: int) -> Job:
        return self.machine.job(self.jobs[pick % len(self.jobs)])

    def goes(self, job_id: str) -> bool:
        return self.machine.job(job_id).status is Status.RUNNING

    def ask_for(self, verb: JobCommand, pick: int, act: Callable[[Job], object]) -> bool:
        """Ask for it; refused only if it could not be done just before or cannot be done just after."""
        before = self.job(pick)
        try:
            act(before)
        except Conflict as refused:
            assert before.name in refused.message and refused.suggestion
            assert not can(verb, before) or not can(verb, self.machine.job(before.id)), refused.message
            return False
        return True


@pytest.mark.slow
def test_the_life_of_jobs_holds_whatever_is_asked_and_whoever_is_killed() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=6,
            stateful_step_count=12,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
