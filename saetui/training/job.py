"""One job from its directory's spec to its end: what a trainer process does."""

from __future__ import annotations

import traceback
from pathlib import Path

import torch

from saetui.errors import SaetuiError
from saetui.home import find_home
from saetui.jobs.spec import TrainingSpec, parse_spec
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.events import EventLog
from saetui.rundir.layout import RunDirectory
from saetui.training.line import Line
from saetui.training.loop import Outcome, Training
from saetui.training.setup import set_up
from saetui.training.stopping import StopWish


def run_job(directory: Path, stop: StopWish) -> int:
    """Train, and leave in the event log how it ended.

    Args:
        directory: the job's directory, with its spec.json; a sound checkpoint in it is where the training goes on.
        stop: the wish to stop, looked at between steps.

    Returns:
        The exit code: 0 completed or stopped, 1 failed.
    """
    run = RunDirectory(directory)
    events = EventLog(run.events)
    line = Line(find_home().socket, directory.name)
    try:
        outcome = _train(run, events, line, stop)
        ending = {"outcome": outcome.value, "step": outcome.step, "error": None}
        events.append("ended", outcome.sentence(), step=outcome.step, data=ending)
        return 0
    except Exception as error:
        # The last line of defence: whatever happened, the job's end and its reason are written down.
        traceback.print_exc()
        failure = _explain(error, run)
        events.append("ended", failure["message"] or "", data={"outcome": "failed", "step": None, "error": failure})
        return 1
    finally:
        line.look()
        line.close()
        events.close()


def _train(run: RunDirectory, events: EventLog, line: Line, stop: StopWish) -> Outcome:
    spec: TrainingSpec = parse_spec(run.read_spec())[0]
    prepared = set_up(spec, run, events, line, stop)
    if prepared is None:
        return Outcome(completed=False, step=0)
    training = Training(prepared, stop)
    try:
        return training.run()
    finally:
        prepared.recorder.close()


def _explain(error: Exception, run: RunDirectory) -> dict[str, str | None]:
    """What a user reads of a failure: kind, message, suggestion."""
    if isinstance(error, SaetuiError):
        return {"kind": error.kind, "message": error.message, "suggestion": error.suggestion}
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return {
            "kind": "out_of_memory",
            "message": f"The memory did not suffice: {error}".splitlines()[0],
            "suggestion": "Lower micro_batch_size, the number of layers or the expansion factor.",
        }
    if isinstance(error, OSError):
        saved = list_checkpoints(run.checkpoints)
        last = f" The newest checkpoint is of step {saved[-1].step}." if saved else ""
        return {
            "kind": "disk",
            "message": f"{error.strerror or error}: {error.filename or run.path}.{last}",
            "suggestion": "Free some space or repair the disk, then retry.",
        }
    return {
        "kind": "internal",
        "message": f"{type(error).__name__}: {error}",
        "suggestion": f"This is a fault of saetui; {run.log} has the traceback.",
    }
