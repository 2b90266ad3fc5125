"""A trainer without torch that can be killed anywhere: real logs, real checkpoints, real requests, and a state that tells.

What it trains is a number that depends on every step before it, so that a step that was lost, doubled or done on the wrong
state shows in the result.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections import deque
from pathlib import Path

import msgspec

from saetui.jobs.job import DesiredState
from saetui.rundir.checkpoints import list_checkpoints, new_checkpoint, newest_sound, sweep
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter
from saetui.training.control import Requests
from saetui.training.recorder import BufferedEvents

STEP_SECONDS = 0.004
SITE = "layer_1.resid_post"
WEIGHTS_BYTES = 20_000


def state_after(steps: int, state: int = 0, first: int = 1) -> int:
    """What an undisturbed training has come to."""
    for step in range(first, steps + 1):
        state = zlib.crc32(step.to_bytes(8, "little"), state)
    return state


def result_of(run: RunDirectory) -> int:
    """The state that a training ended with."""
    return int.from_bytes((run.result(SITE) / "weights").read_bytes()[:4], "little")


class Training:
    """One process of a job."""

    def __init__(self, run: RunDirectory, requests: Requests) -> None:
        hyperparameters = run.read_spec()["hyperparameters"]
        self.run, self.requests = run, requests
        self.num_steps, self.interval = hyperparameters["num_steps"], hyperparameters["checkpoint_interval"]
        self.events = BufferedEvents(run.events)
        self.events.append("phase", "loading")
        sweep(run.checkpoints)
        self.step, self.state = self._resumed()
        self.training = MetricWriter(run.training_metrics, [SITE], ["loss", "state"], keep_through=self.step)
        columns = ["tokens_per_second", "tokens", "seconds", "num_steps"]
        self.job = MetricWriter(run.job_metrics, ["job"], columns, keep_through=self.step)
        self.events.append("started", "training", step=self.step, data={"num_steps": self.num_steps})
        self.saved, self.degraded = self.step, False
        self.waiting: deque[tuple[MetricWriter, str, int, dict[str, float]]] = deque()

    def go(self) -> str:
        """Train; how it ended."""
        while self.step < self.num_steps and not self.requests.stop:
            if self.requests.control.desired_state is not DesiredState.RUN and self._hold():
                return "paused"
            if not self.requests.stop and self.requests.control.desired_state is DesiredState.RUN:
                self._take_step()
        self._save()
        self._export()
        return "completed" if self.step == self.num_steps else "stopped"

    def _take_step(self) -> None:
        time.sleep(STEP_SECONDS)
        self.step += 1
        self.state = state_after(self.step, self.state, self.step)
        self.waiting.append((self.training, SITE, self.step, {"loss": 1 / self.step, "state": float(self.state)}))
        done = {"tokens_per_second": 250.0, "tokens": 10.0 * self.step, "seconds": STEP_SECONDS * self.step}
        self.waiting.append((self.job, "job", self.step, {**done, "num_steps": float(self.num_steps)}))
        self._write_rows()
        if self.step % self.interval == 0:
            self._save()

    def _write_rows(self) -> bool:
        """Write what waits, or let it wait for room; whether nothing waits any more."""
        try:
            while self.waiting:
                log, site, step, values = self.waiting[0]
                log.append(step, site, values)
                self.waiting.popleft()
        except OSError:
            return False
        return True

    def _save(self) -> None:
        if self.step == self.saved or not self._write_rows():
            return
        try:
            self.training.sync()
            self.job.sync()
            with new_checkpoint(self.run.checkpoints, self.step) as path:
                (path / "state.json").write_bytes(msgspec.json.encode({"state": self.state}))
                (path / "weights").write_bytes(self.state.to_bytes(4, "little") * (WEIGHTS_BYTES // 4))
        except OSError as error:
            if not self.degraded:
                self.events.append("degraded", f"No checkpoint: {error}", step=self.step)
            self.degraded = True
            return
        if self.degraded:
            self.events.append("recovered", "Saved again", step=self.step)
        self.saved, self.degraded = self.step, False
        self.events.append("checkpoint", "saved", step=self.step, data={"requests": self.requests.control.checkpoints})

    def _hold(self) -> bool:
        """Pause; whether the memory is to be freed."""
        said = False
        while not self.requests.stop and (desired := self.requests.control.desired_state) is not DesiredState.RUN:
            if desired is DesiredState.UNLOAD:
                self._save()
                return True
            if not said:
                self.events.append("paused", "paused", step=self.step, data={"released": False})
            said = True
            self.requests.hold()
        if said and not self.requests.stop:
            self.events.append("resumed", "resumed", step=self.step)
        return False

    def _export(self) -> None:
        directory = self.run.result(SITE)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "weights").write_bytes(self.state.to_bytes(4, "little"))
        (directory / "cfg.json").write_text("{}")

    def _resumed(self) -> tuple[int, int]:
        found = newest_sound(self.run.checkpoints)
        if found is None:
            return 0, 0
        assert found.step == list_checkpoints(self.run.checkpoints)[-1].step
        return found.step, msgspec.json.decode((found.path / "state.json").read_bytes(), type=dict[str, int])["state"]


def main(directory: str) -> int:
    # As the real one does: it must not make a directory anew that was taken away.
    run = RunDirectory(Path(directory)).entered()
    requests = Requests(run)
    requests.install()
    training = Training(run, requests)
    ending = training.go()
    data = {"outcome": ending, "step": training.step, "error": None}
    training.events.append("ended", ending, step=training.step, data=data)
    return 0 if training.events.write_waiting() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
