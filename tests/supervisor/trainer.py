"""A trainer without torch: it writes what a real one writes and obeys its control file. The job's seed says how it behaves."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

from saetui.jobs.job import DesiredState
from saetui.rundir.checkpoints import new_checkpoint, newest_sound
from saetui.rundir.control import read_control
from saetui.rundir.events import EventLog
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter

WELL, CRASHES, FAILS, ENDS_SILENTLY, DEAF, KNOWS_NO_WISHES = range(6)
STEP_SECONDS = 0.005
NOT_FINITE = {"kind": "training", "message": "The loss is not finite.", "suggestion": "Lower learning_rate."}


class Trainer:
    """One attempt of one job."""

    def __init__(self, directory: str) -> None:
        self.run = RunDirectory(Path(directory)).entered()
        self.stop = False
        spec = self.run.read_spec()
        self.mode: int = spec["seed"]
        self.num_steps: int = spec["hyperparameters"]["num_steps"]
        self.sites = [f"layer_{layer}.{point}" for layer in spec["layers"] for point in spec["hook_points"]]
        signal.signal(signal.SIGTERM, self._stop_wanted)
        if self.mode != KNOWS_NO_WISHES:
            signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
        self.events = EventLog(self.run.events)
        self.saved = 0
        self.step = 0

    def main(self) -> int:
        if self.mode == ENDS_SILENTLY:
            print("a \x1b[31mword\x1b[0m in the log")
            return 7
        self.events.append("phase", "loading", data={"name": "loading model"})
        found = newest_sound(self.run.checkpoints)
        self.step = found.step if found is not None else 0
        self._open_logs()
        self.saved = read_control(self.run).checkpoints
        self.events.append("started", "training", step=self.step, data={"num_steps": self.num_steps})
        while self.step < self.num_steps and (not self.stop or self.mode == DEAF):
            if self._holds() is DesiredState.UNLOAD:
                self.save()
                return self.end("paused")
            if self.stop:
                break
            self._take_step()
            if self.mode == CRASHES and self.step == 3:
                raise RuntimeError("the fake trainer crashed")
            if self.mode == FAILS and self.step == 3:
                return self.end("failed", NOT_FINITE)
        for site in self.sites:
            self.evaluation.append(self.step, site, {"fvu": 0.25})
        self.save()
        return self.end("completed" if self.step == self.num_steps else "stopped")

    def save(self) -> None:
        if self.step > 0:
            with new_checkpoint(self.run.checkpoints, self.step) as path:
                (path / "state.json").write_text(str(self.step))
            self.events.append("checkpoint", "saved", step=self.step)

    def end(self, outcome: str, error: dict[str, Any] | None = None) -> int:
        self.events.append(
            "ended", outcome, step=self.step, data={"outcome": outcome, "step": self.step, "error": error}
        )
        return 1 if error else 0

    def _open_logs(self) -> None:
        self.run.metrics.mkdir(exist_ok=True)
        kept = self.step
        self.training = MetricWriter(self.run.training_metrics, self.sites, ["loss", "fvu"], keep_through=kept)
        self.evaluation = MetricWriter(self.run.evaluation_metrics, self.sites, ["fvu"], keep_through=kept)
        columns = ["tokens_per_second", "tokens", "seconds", "num_steps"]
        self.speed = MetricWriter(self.run.job_metrics, ["job"], columns, keep_through=kept)

    def _take_step(self) -> None:
        self.step += 1
        time.sleep(STEP_SECONDS)
        for site in self.sites:
            self.training.append(
                self.step, site, {"loss": 1 / self.step, "fvu": float("nan") if self.step % 2 else 0.5}
            )
        tokens, seconds = self.step * 10.0, self.step * 0.05
        self.speed.append(
            self.step,
            "job",
            {"tokens_per_second": 200.0, "tokens": tokens, "seconds": seconds, "num_steps": self.num_steps},
        )

    def _holds(self) -> DesiredState:
        """Obey the control file until it says to go on, to stop, or to free the memory."""
        if self.mode == KNOWS_NO_WISHES:
            return DesiredState.RUN
        holding = False
        while not self.stop:
            control = read_control(self.run)
            if control.checkpoints > self.saved:
                self.save()
                self.saved = control.checkpoints
            if control.desired_state is not DesiredState.PAUSE:
                if holding and control.desired_state is DesiredState.RUN:
                    self.events.append("resumed", "goes on", step=self.step)
                return control.desired_state
            if not holding:
                holding = True
                self.events.append("paused", "holds", step=self.step, data={"step": self.step, "released": False})
            signal.sigtimedwait([], 0.01)
        return DesiredState.RUN

    def _stop_wanted(self, number: int, frame: object) -> None:
        self.stop = True


if __name__ == "__main__":
    sys.exit(Trainer(sys.argv[1]).main())
