"""One job from its directory's spec to its end: what a trainer process does."""

from __future__ import annotations

import traceback

from saetui.errors import SaetuiError
from saetui.home import find_home
from saetui.rundir.checkpoints import newest_sound
from saetui.rundir.events import LoggedEvent, read_events
from saetui.rundir.layout import RunDirectory
from saetui.spec.training_spec import TrainingSpec, parse_spec
from saetui.training.control import Wishes
from saetui.training.ledger import Ledger, PatientEvents
from saetui.training.loop import Ending, Outcome, Training
from saetui.training.notifier import Line
from saetui.training.out_of_memory import bytes_asked, is_out_of_memory
from saetui.training.reserve import Reserve
from saetui.training.saving import Saver
from saetui.training.setup import set_up
from saetui.training.stopping import StopNoticed


def run_job(run: RunDirectory, wishes: Wishes) -> int:
    """Train, and leave in the event log how it ended.

    Args:
        run: the job's directory, with its spec.json; a sound checkpoint in it is where the training goes on.
        wishes: to stop, to pause, to save; looked at between steps.

    Returns:
        The exit code: 0 completed, stopped or released for a pause; 1 failed.
    """
    earlier = read_events(run.events)
    events = PatientEvents(run.events)
    reserve = Reserve(run)
    line = Line(find_home().socket, run.id)
    code = 1
    try:
        outcome = _train(run, events, line, wishes, _requests_answered(earlier))
        ending = {"outcome": outcome.ending.value, "step": outcome.step, "error": None}
        events.append("ended", outcome.sentence(), step=outcome.step, data=ending)
        code = 0
    except Exception as error:
        # The last line of defence: whatever happened, the job's end and its reason are written down.
        reserve.give()
        _print_traceback()
        failure = _explain(error, run)
        events.append("ended", failure["message"] or "", data={"outcome": "failed", "step": None, "error": failure})
    reserve.give()
    if not events.write_waiting():
        code = 1
    line.look()
    line.close()
    events.close()
    return code


def _print_traceback() -> None:
    try:
        traceback.print_exc()
    except OSError:
        # The log lies on the full disk too; the reason itself goes into the events.
        return


def _train(run: RunDirectory, events: PatientEvents, line: Line, wishes: Wishes, answered: int) -> Outcome:
    spec: TrainingSpec = parse_spec(run.read_spec())[0]
    try:
        with wishes.interrupting():
            prepared = set_up(spec, run, events, line, wishes)
    except StopNoticed:
        prepared = None
    if prepared is None:
        saved = newest_sound(run.checkpoints)
        return Outcome(Ending.STOPPED, step=0 if saved is None else saved.step)
    try:
        ledger = Ledger(prepared.recorder, events)
        saver = Saver(prepared, wishes, ledger, answered)
        return Training(prepared, wishes, ledger, saver).run()
    finally:
        prepared.recorder.close()


def _requests_answered(events: list[LoggedEvent]) -> int:
    """How many requests for a checkpoint were answered by earlier processes of the job."""
    said = [event.data.get("requests") for event in events if event.kind == "checkpoint"]
    return max((number for number in said if isinstance(number, int)), default=0)


def _explain(error: Exception, run: RunDirectory) -> dict[str, str | None]:
    """What a user reads of a failure: kind, message, suggestion."""
    if isinstance(error, SaetuiError):
        return {"kind": error.kind, "message": error.message, "suggestion": error.suggestion}
    if is_out_of_memory(error):
        needed = bytes_asked(error)
        asked = "" if needed is None else f": {needed / 1e6:.0f} MB could not be had"
        return {
            "kind": "out_of_memory",
            "message": f"The memory does not suffice for the model and its SAEs{asked}.{_newest(run)}",
            "suggestion": "Lower the number of layers, the expansion factor or batch_size, or end other programs.",
        }
    if isinstance(error, OSError):
        return {
            "kind": "disk",
            "message": f"{error.strerror or error}: {error.filename or run.path.absolute()}.{_newest(run)}",
            "suggestion": "Free some space or repair the disk, then resume the job.",
        }
    return {
        "kind": "internal",
        "message": f"{type(error).__name__}: {error}",
        "suggestion": f"This is a fault of saetui; {run.log.absolute()} has the traceback.",
    }


def _newest(run: RunDirectory) -> str:
    """From where the job can go on."""
    saved = newest_sound(run.checkpoints)
    return "" if saved is None else f" The newest sound checkpoint is of step {saved.step}."
