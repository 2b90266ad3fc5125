"""One job from its directory's spec to its end: what a trainer process does."""

from __future__ import annotations

import traceback
from contextlib import suppress

from saetui.display.figures import size
from saetui.errors import SaetuiError
from saetui.home import find_home
from saetui.rundir.checkpoints import newest_sound
from saetui.rundir.events import LoggedEvent, read_events
from saetui.rundir.layout import RunDirectory
from saetui.spec.training_spec import TrainingSpec, parse_spec
from saetui.training.control import Requests, StopRequested
from saetui.training.loop import Ending, Outcome, Training
from saetui.training.notifier import Notifier
from saetui.training.out_of_memory import bytes_asked, is_out_of_memory
from saetui.training.recorder import BufferedEvents, Reserve
from saetui.training.saving import Saver
from saetui.training.setup import set_up


def run_job(run: RunDirectory, requests: Requests) -> int:
    """Train, from a sound checkpoint where the directory has one, and write to the event log how the training ended.

    Returns:
        The exit code: 0 completed, stopped or unloaded for a pause; 1 failed.
    """
    earlier = read_events(run.events)
    events = BufferedEvents(run.events)
    reserve = Reserve(run)
    notifier = Notifier(find_home().socket, run.id)
    code = 1
    try:
        outcome = _train(run, events, notifier, requests, _requests_answered(earlier))
        ending = {"outcome": outcome.ending.value, "step": outcome.step, "error": None}
        events.append("ended", outcome.sentence(), step=outcome.step, data=ending)
        code = 0
    except Exception as error:
        # The last line of defence: whatever happened, the job's end and its reason are written down.
        reserve.release()
        with suppress(OSError):  # the log is on the full disk too; the events have the reason
            traceback.print_exc()
        failure = _explain(error, run)
        events.append("ended", failure["message"] or "", data={"outcome": "failed", "step": None, "error": failure})
    reserve.release()
    if not events.write_waiting():
        code = 1
    notifier.notify()
    notifier.close()
    events.close()
    return code


def _train(run: RunDirectory, events: BufferedEvents, notifier: Notifier, requests: Requests, answered: int) -> Outcome:
    spec: TrainingSpec = parse_spec(run.read_spec())[0]
    try:
        with requests.interruptible():
            prepared = set_up(spec, run, events, notifier, requests)
    except StopRequested:
        prepared = None
    if prepared is None:
        saved = newest_sound(run.checkpoints)
        return Outcome(Ending.STOPPED, step=0 if saved is None else saved.step)
    try:
        return Training(prepared, requests, Saver(prepared, requests, answered)).run()
    finally:
        prepared.recorder.close()


def _requests_answered(events: list[LoggedEvent]) -> int:
    """How many requests for a checkpoint were answered by earlier processes of the job."""
    answers = [event.data.get("requests") for event in events if event.kind == "checkpoint"]
    return max((number for number in answers if isinstance(number, int)), default=0)


def _explain(error: Exception, run: RunDirectory) -> dict[str, str | None]:
    """A failure as a user reads it: kind, message, suggestion."""
    if isinstance(error, SaetuiError):
        return {"kind": error.kind, "message": error.message, "suggestion": error.suggestion}
    saved = newest_sound(run.checkpoints)
    newest = "" if saved is None else f" The newest sound checkpoint is of step {saved.step}."
    if is_out_of_memory(error):
        needed = bytes_asked(error)
        asked = "" if needed is None else f": {size(needed)} could not be had"
        return {
            "kind": "out_of_memory",
            "message": f"There is not enough memory for the model and its SAEs{asked}.{newest}",
            "suggestion": "Lower the number of layers, the expansion factor or batch_size, or end other programs.",
        }
    if isinstance(error, OSError):
        return {
            "kind": "disk",
            "message": f"{error.strerror or error}: {error.filename or run.path.absolute()}.{newest}",
            "suggestion": "Free some space or repair the disk, then resume the job.",
        }
    return {
        "kind": "internal",
        "message": f"{type(error).__name__}: {error}",
        "suggestion": f"This is a fault of saetui; {run.log.absolute()} has the traceback.",
    }
