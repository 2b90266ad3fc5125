"""A trainer without torch: it writes what a real one writes. The job's seed says how it behaves."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from saetui.rundir.events import EventLog
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter

WELL, CRASHES, FAILS, ENDS_SILENTLY, DEAF = range(5)
STEP_SECONDS = 0.005


def main(directory: str) -> int:
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    run = RunDirectory(Path(directory))
    spec = run.read_spec()
    mode, num_steps = spec["seed"], spec["hyperparameters"]["num_steps"]
    events = EventLog(run.events)
    if mode == ENDS_SILENTLY:
        print("a \x1b[31mword\x1b[0m in the log")
        return 7
    events.append("phase", "loading", data={"name": "loading model"})
    sites = [f"layer_{layer}.{point}" for layer in spec["layers"] for point in spec["hook_points"]]
    training = MetricWriter(run.training_metrics, sites, ["loss", "fvu"])
    evaluation = MetricWriter(run.evaluation_metrics, sites, ["fvu"])
    speed = MetricWriter(run.job_metrics, ["job"], ["tokens_per_second", "tokens", "seconds", "num_steps"])
    events.append("started", "training", step=0, data={"num_steps": num_steps})
    step = 0
    while step < num_steps and (not stop or mode == DEAF):
        step += 1
        time.sleep(STEP_SECONDS)
        for site in sites:
            training.append(step, site, {"loss": 1 / step, "fvu": float("nan") if step % 2 else 0.5})
        figures = {"tokens_per_second": 200.0, "tokens": step * 10.0, "seconds": step * 0.05, "num_steps": num_steps}
        speed.append(step, "job", figures)
        if mode == CRASHES and step == 3:
            raise RuntimeError("the fake trainer crashed")
        if mode == FAILS and step == 3:
            error = {"kind": "training", "message": "The loss is not finite.", "suggestion": "Lower learning_rate."}
            events.append("ended", "failed", step=step, data={"outcome": "failed", "step": step, "error": error})
            return 1
    for site in sites:
        evaluation.append(step, site, {"fvu": 0.25})
    outcome = "completed" if step == num_steps else "stopped"
    events.append("ended", outcome, step=step, data={"outcome": outcome, "step": step, "error": None})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
