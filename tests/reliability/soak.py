"""Many short jobs while everything is killed at random: `python -m tests.reliability.soak --seconds 60 [--kills N]`.

Prints what happened, and exits 1 when anything was lost, doubled, wrongly ended or left behind. The moments are random on
purpose: whatever the kill matrix does not name is found here. `--seed` makes the choices the same again, not the moments.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from saetui.client.blocking import ask
from saetui.client.lifecycle import holder_of, reachable
from saetui.errors import SaetuiError
from saetui.jobs.job import Job, Status
from saetui.launch.identity import identify, read_identities
from saetui.protocol.messages import DeleteJobs, GetJobs, PauseJobs, ResumeJobs, StopJobs, Submit
from saetui.rundir.checkpoints import list_checkpoints, newest_sound
from saetui.rundir.metrics import MetricReader
from tests.conditions import lives
from tests.reliability import trainer
from tests.reliability.machine import ReliableMachine, descriptors_of, memory_kib
from tests.reliability.slowing import speed_ratio

DEVICES = ("cpu", "cuda:0", "cuda:1")
AT_ONCE = 6
"""Jobs that wait or live at a time."""

PAUSE_SECONDS = 0.3
"""The longest time between two kills; the real one is random."""

SETTLE_SECONDS = 120.0
CALM_JOBS = 12
LARGEST_GROWTH_KIB = 4096
LARGEST_NEW_DESCRIPTORS = 3


@dataclass
class Figures:
    """What happened.

    Attributes:
        kills: for each kind of process, how many were killed; and how many locks and directories of running jobs removed.
        watched: how many trainers were seen when the looks for twins were made.
        violations: what must not be, in words.
    """

    jobs: int = 0
    acknowledged: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    vanished: set[str] = field(default_factory=set)
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    watched: int = 0
    tries: int = 0
    lost: int = 0
    doubled: int = 0
    rows: int = 0
    rows_lost: int = 0
    rows_doubled: int = 0
    wrong_ends: int = 0
    memory_kib: tuple[int, int] = (0, 0)
    descriptors: tuple[int, int] = (0, 0)
    left_files: int = 0
    left_processes: int = 0
    speed_ratio: float = 0.0
    violations: list[str] = field(default_factory=list)

    def say(self) -> str:
        kills = ", ".join(f"{kind} {number}" for kind, number in sorted(self.kills.items()))
        ends = ", ".join(f"{end} {number}" for end, number in sorted(self.ends.items()))
        return "\n".join(
            [
                f"jobs             {self.jobs} ({ends}), in {self.tries} tries",
                f"kills            {sum(self.kills.values())} ({kills})",
                f"lost / doubled   {self.lost} / {self.doubled} jobs; {self.rows_lost} / {self.rows_doubled} of "
                f"{self.rows} rows",
                f"wrong ends       {self.wrong_ends}",
                f"looked at        {self.watched} trainers for a second one of the same job",
                f"memory           {self.memory_kib[0] / 1024:.1f} → {self.memory_kib[1] / 1024:.1f} MiB of the "
                f"supervisor over {CALM_JOBS} jobs",
                f"descriptors      {self.descriptors[0]} → {self.descriptors[1]}",
                f"left behind      {self.left_processes} processes, {self.left_files} files",
                f"speed            {self.speed_ratio:.2f} of a trainer's own beside 200 clients that do everything wrong",
                *[f"VIOLATION: {violation}" for violation in self.violations],
            ]
        )


class Soak:
    """One run."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.machine = ReliableMachine(root)
        self.figures = Figures()

    def run(self, seconds: float, kills: int) -> Figures:
        """Kill for so long and so often, then let all end, and look."""
        machine, figures = self.machine, self.figures
        machine.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end or sum(figures.kills.values()) < kills:
            self._see_that_there_is_a_supervisor()
            self._keep_busy()
            self._kill_someone()
            self._look_for_twins()
            time.sleep(self.chance.uniform(0, PAUSE_SECONDS))
        self._see_that_there_is_a_supervisor()
        self._let_all_end()
        self._check_jobs()
        self._stay_calm()
        figures.speed_ratio = speed_ratio(machine)
        self._check_leftovers()
        return figures

    def _see_that_there_is_a_supervisor(self) -> None:
        assert self.machine.supervisor is not None
        if self.machine.supervisor.poll() is not None or not reachable(self.machine.home):
            self.machine.supervisor.kill()
            self.machine.supervisor.wait()
            self.machine.start()

    def _keep_busy(self) -> None:
        """Submit, stop, pause, resume: what users do, and what automatic resumes would."""
        with contextlib.suppress(SaetuiError):
            jobs = self._jobs()
            for job in jobs:
                self._treat(job)
            if sum(not job.status.ended for job in jobs) < AT_ONCE:
                if self.chance.random() < 0.3:
                    self._read_client()
                    self.machine.start_client(steps=self.chance.randint(5, 120))
                else:
                    spec = self.machine.short_spec(
                        steps=self.chance.randint(5, 120), device=self.chance.choice(DEVICES)
                    )
                    self.figures.acknowledged.add(ask(Submit(spec), self.machine.home, start=False).job.id)

    def _treat(self, job: Job) -> None:
        if job.id in self.figures.vanished:
            return
        chosen = self.chance.random()
        home = self.machine.home
        if job.status in (Status.FAILED, Status.STOPPED, Status.LOST):
            if chosen < 0.5:
                ask(ResumeJobs((job.id,)), home, start=False)
        elif job.status is Status.PAUSED and chosen < 0.7:
            ask(ResumeJobs((job.id,)), home, start=False)
        elif job.status is Status.COMPLETED and chosen < 0.02:
            self._check_job(job)
            ask(DeleteJobs((job.id,)), home, start=False)
            self.figures.deleted.add(job.id)
        elif job.status is Status.RUNNING and chosen < 0.05:
            ask(StopJobs((job.id,)), home, start=False)
        elif job.status is Status.RUNNING and chosen < 0.1:
            ask(PauseJobs((job.id,), unload=self.chance.random() < 0.5), home, start=False)

    def _read_client(self) -> None:
        """Take in what the clients that have ended said."""
        for client in [client for client in self.machine.clients if client.poll() is not None]:
            self.machine.clients.remove(client)
            out, _ = client.communicate()
            if out.endswith("\n"):
                self.figures.acknowledged.add(out.split()[0])

    def _kill_someone(self) -> None:
        kind = self.chance.choices(
            ("client", "supervisor", "runner", "trainer", "lock", "directory"), (2, 2, 2, 6, 1, 1)
        )[0]
        if kind in ("lock", "directory"):
            self._remove(kind)
            return
        pid = self._victim(kind)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.figures.kills[kind] += 1

    def _remove(self, kind: str) -> None:
        """Take the lock or the directory of a running job away, as a user does who tidies up."""
        running = [
            path.parent for path in self.machine.home.runs.glob("*/identity.json") if _trainer_of(path) is not None
        ]
        if not running:
            return
        run = self.chance.choice(running)
        with contextlib.suppress(FileNotFoundError):
            if kind == "lock":
                (run / "run.lock").unlink()
            else:
                # Noted first: it must not be resumed in between.
                self.figures.vanished.add(run.name)
                run.rename(self.machine.root / f"removed-{run.name}")
                shutil.rmtree(self.machine.root / f"removed-{run.name}", ignore_errors=True)
            self.figures.kills[kind] += 1

    def _victim(self, kind: str) -> int | None:
        if kind == "supervisor":
            return holder_of(self.machine.home)
        if kind == "client":
            found = [client.pid for client in self.machine.clients if client.poll() is None]
        else:
            found = [pid for pid in self._workers(kind) if lives(pid)]
        return self.chance.choice(found) if found else None

    def _workers(self, kind: str) -> Iterator[int]:
        for path in self.machine.home.runs.glob("*/identity.json"):
            who = read_identities(path)
            chosen = None if who is None else who.runner if kind == "runner" else who.trainer
            if chosen is not None and identify(chosen.pid) == chosen:
                yield chosen.pid

    def _look_for_twins(self) -> None:
        """No job may have two trainers."""
        seen: Counter[str] = Counter()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                # A trainer works in its run's directory, wherever that is moved to.
                place = (entry / "cwd").readlink()
                if len(line) > 2 and line[1] == trainer.__file__ and place.parent == self.machine.home.runs:
                    seen[place.name] += lives(int(entry.name))
        self.figures.watched += sum(seen.values())
        for job_id in [job_id for job_id, number in seen.items() if number > 1]:
            self.figures.doubled += 1
            self.figures.violations.append(f"job {job_id} runs {seen[job_id]} times at once")

    def _let_all_end(self) -> None:
        """Resume whatever was killed, until every job is completed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while unfinished := [job for job in self._jobs() if not self._is_done(job)]:
            for job in unfinished:
                if job.id in self.figures.vanished:
                    continue
                if job.status.ended or job.status is Status.PAUSED:
                    ask(ResumeJobs((job.id,)), self.machine.home, start=False)
            if time.monotonic() > deadline:
                names = ", ".join(f"{job.id} ({job.state})" for job in unfinished)
                self.figures.violations.append(f"not ended after {SETTLE_SECONDS:g} s: {names}")
                return
            time.sleep(0.1)

    def _is_done(self, job: Job) -> bool:
        """A job whose directory was taken away can only end; every other one completes."""
        return job.status.ended if job.id in self.figures.vanished else job.status is Status.COMPLETED

    def _check_jobs(self) -> None:
        figures = self.figures
        for client in self.machine.clients:
            client.kill()
            client.wait()
        self._read_client()
        jobs = self._jobs()
        figures.jobs = len(jobs) + len(figures.deleted)
        if not figures.watched:
            figures.violations.append("no trainer was ever seen: two of one job would not have been either")
        for job_id in figures.acknowledged - {job.id for job in jobs} - figures.deleted:
            figures.lost += 1
            figures.violations.append(f"job {job_id} was acknowledged and is gone")
        for job in jobs:
            if job.id in figures.vanished:
                self._check_vanished(job)
            else:
                self._check_job(job)

    def _check_vanished(self, job: Job) -> None:
        """It has ended, says why where it was running, cannot go on, and can be forgotten."""
        self.figures.ends[job.status.value] += 1
        if job.status is Status.FAILED and (job.error is None or job.error.kind not in ("home", "killed")):
            self.figures.wrong_ends += 1
            self.figures.violations.append(f"job {job.id}, whose directory was taken away, ended with {job.error}")
        ask(DeleteJobs((job.id,)), self.machine.home, start=False)
        self.figures.deleted.add(job.id)

    def _check_job(self, job: Job) -> None:
        figures, run = self.figures, self.machine.run(job.id)
        figures.ends[job.status.value] += 1
        events = self.machine.events(job.id)
        figures.tries += sum(event.kind == "started" for event in events)
        reader = MetricReader(run.training_metrics)
        reader.poll()
        steps, states = reader.series(trainer.SITE, "state")
        figures.rows += len(steps)
        figures.rows_lost += job.step - len(set(steps))
        figures.rows_doubled += len(steps) - len(set(steps))
        state, right = 0, steps == list(range(1, job.step + 1))
        for step, found in zip(steps, states):
            state = trainer.state_after(step, state, step)
            right = right and found == state
        if not right:
            figures.violations.append(f"job {job.id}: its rows are not those of an undisturbed training")
        listed, sound = list_checkpoints(run.checkpoints), newest_sound(run.checkpoints)
        if job.status is not Status.COMPLETED or trainer.result_of(run) != trainer.state_after(job.step):
            figures.wrong_ends += 1
            figures.violations.append(f"job {job.id} ended as {job.status.value}, or with a wrong result")
        elif [event.data.get("outcome") for event in events if event.kind == "ended"][-1:] != ["completed"]:
            figures.wrong_ends += 1
            figures.violations.append(f"job {job.id}: its last word is not that it completed")
        if not listed or sound is None or sound.step != listed[-1].step or sound.step != job.step:
            figures.violations.append(f"job {job.id}: its newest checkpoint is not sound")

    def _stay_calm(self) -> None:
        """Jobs one after the other on one supervisor: its memory and descriptors stay what they are."""
        readings = []
        for number in range(2 * CALM_JOBS):
            job = ask(Submit(self.machine.short_spec(steps=3)), self.machine.home, start=False).job
            self.machine.until(job.id, Status.COMPLETED)
            if number % CALM_JOBS == CALM_JOBS - 1:
                readings.append((memory_kib(self.machine.pid), descriptors_of(self.machine.pid)))
            ask(DeleteJobs((job.id,)), self.machine.home, start=False)
        (memory, descriptors), (memory_now, descriptors_now) = readings
        self.figures.memory_kib, self.figures.descriptors = (memory, memory_now), (descriptors, descriptors_now)
        if memory_now - memory > LARGEST_GROWTH_KIB:
            self.figures.violations.append(f"the supervisor grew by {memory_now - memory} KiB")
        if descriptors_now - descriptors > LARGEST_NEW_DESCRIPTORS:
            self.figures.violations.append(f"the supervisor has {descriptors_now - descriptors} more descriptors")

    def _check_leftovers(self) -> None:
        machine, figures = self.machine, self.figures
        files = [
            path
            for path in machine.home.root.rglob("*")
            if path.name.startswith(".") or ".unreadable-" in path.name or ".damaged-" in path.name
        ]
        figures.left_files = len(files)
        figures.violations += [f"{path} was left" for path in files]
        left = machine.clean()
        figures.left_processes = len(left)
        figures.violations += [f"process {pid} was left" for pid in left]

    def _jobs(self) -> list[Job]:
        return list(ask(GetJobs(), self.machine.home, start=False).jobs)


def _trainer_of(identities: Path) -> int | None:
    """The pid of a run's trainer, if it lives."""
    who = read_identities(identities)
    return who.trainer.pid if who is not None and identify(who.trainer.pid) == who.trainer else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=0, help="go on until so many were killed")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed             {seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ["SAETUI_HOME"] = str(root / "home")
        soak = Soak(root, seed)
        try:
            figures = soak.run(options.seconds, options.kills)
        finally:
            soak.machine.clean()
    print(figures.say())
    return 1 if figures.violations else 0


if __name__ == "__main__":
    sys.exit(main())
