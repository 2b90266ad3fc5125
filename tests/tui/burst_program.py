"""The TUI on a source that records what it is asked, and a file that says where every key has gone.

`python -m tests.tui.burst_program HOME STATE`: a program for a pseudo-terminal. SIGUSR1 begins anew, in the same process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from textual.events import Event, Key
from textual.widgets import Input

from saetui.jobs.job import DesiredState, Status
from saetui.jobs.templates import BUILTIN_TEMPLATES
from saetui.protocol.messages import BaseRequest, JobChanged, ManyJobs, PauseJobs, R, ResumeJobs
from saetui.rundir.checkpoints import new_checkpoint
from saetui.tui import app
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.jobs import JobsScreen
from saetui.tui.screens.new_training import NewTrainingScreen
from saetui.tui.widgets.job_list import JobList
from tests.tui.fixed import FixedSource
from tests.tui.runs import make_job, spec_of


class RecordingSource(FixedSource):
    """Pauses and resumes as a supervisor does; refuses everything else. Keeps what it was asked."""

    def __init__(self, home: Path) -> None:
        self.jobs = {job.id: job for job in _jobs(home)}
        self.asked: list[str] = []
        self.answers_after = 0.0
        super().__init__(tuple(self.jobs.values()), BUILTIN_TEMPLATES)

    async def request(self, request: BaseRequest[R], timeout: float = 60.0) -> R:
        self.asked.append(msgspec.json.encode(request).decode())
        await asyncio.sleep(self.answers_after)
        if not isinstance(request, (PauseJobs, ResumeJobs)):
            return await super().request(request, timeout)
        pause = isinstance(request, PauseJobs)
        for name in request.jobs:
            self.jobs[name] = msgspec.structs.replace(
                self.jobs[name],
                status=Status.PAUSED if pause else Status.RUNNING,
                desired_state=DesiredState.PAUSE if pause else DesiredState.RUN,
            )
            self.tell(JobChanged(self.jobs[name]))
        return ManyJobs(tuple(self.jobs[name] for name in request.jobs))  # type: ignore[return-value]


def _jobs(home: Path) -> list[Any]:
    states = [Status.RUNNING, Status.QUEUED, Status.COMPLETED, Status.FAILED, Status.STOPPED]
    jobs = [make_job(home, number, status, step=100) for number, status in enumerate(states)]
    for job in jobs:
        folder = Path(job.directory)
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "spec.json").write_text(json.dumps(spec_of(job)))
            (folder / "sae" / "layer_2.resid_post").mkdir(parents=True)
            (folder / "sae" / "layer_2.resid_post" / "cfg.json").write_text("{}")
            for step in (10, 20):
                with new_checkpoint(folder / "checkpoints", step) as saved:
                    (saved / "weights").write_bytes(bytes(1000))
            (folder / "trainer.log").write_text("".join(f"line {number} of the log\n" for number in range(300)))
    return jobs


class BurstApp(SaetuiApp):
    """Counts the keys that it was given."""

    CSS_PATH = str(Path(app.__file__).with_name("style.tcss"))

    def __init__(self, home: Path, number: int = 0) -> None:
        """`number`: of this app in its process."""
        self.recorded = RecordingSource(home)
        self.keys_taken = 0
        self._number = number
        self._reports = 0
        super().__init__(self.recorded, theme="saetui")

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key) and not event.is_forwarded:
            self.keys_taken += 1
        await super().on_event(event)

    def report(self, path: Path) -> None:
        """Write the state to a file, as one step."""
        if self.is_running and self.screen_stack and self.model.known:
            self._reports += 1
            facts = {"app": self._number, "number": self._reports, "keys": self.keys_taken, "state": self.state()}
            part = path.with_suffix(".part")
            part.write_text(json.dumps(facts, sort_keys=True))
            os.replace(part, path)

    def state(self) -> dict[str, Any]:
        """Where the keys have gone: screens, focus, the text of every field, marks, the form, requests."""
        screens = self.screen_stack
        focused = self.focused
        row = getattr(getattr(focused, "parent", None), "info", getattr(focused, "info", None))
        jobs = next((screen for screen in screens if isinstance(screen, JobsScreen)), None)
        form = next((screen for screen in screens if isinstance(screen, NewTrainingScreen)), None)
        listed = jobs.query_one(JobList) if jobs is not None and jobs.is_mounted else None
        return {
            "screens": [type(screen).__name__ for screen in screens],
            "focus": None if focused is None else [type(focused).__name__, getattr(row, "field", focused.id)],
            "texts": [[_place(field), field.value] for screen in screens for field in screen.query(Input)],
            "cursors": [field.cursor_position for field in self.screen.query(Input)],
            "jobs": None
            if jobs is None or listed is None
            else [
                None if listed.highlighted is None else listed.highlighted.id,
                sorted(jobs._marked),
                jobs._filter,
                jobs._order.sorting.preference,
            ],
            "draft": None if form is None else [form.draft.raw(), form.draft.architecture],
            "asked": self.recorded.asked,
            "left_out": [note.message for note in self._notifications if "did nothing" in note.message],
        }


def _place(field: Input) -> str:
    return str(getattr(getattr(field.parent, "info", None), "field", field.parent.id if field.parent else None))


def main(home: Path, state: Path) -> None:
    """Show the app until it is left; after SIGUSR1 another."""
    again, apps = True, 0

    def begin_again(*_: object) -> None:
        nonlocal again
        again = True
        assert shown._loop is not None
        shown._loop.call_soon_threadsafe(shown.exit)

    while again:
        again, apps = False, apps + 1
        shown = BurstApp(home, apps)
        shown.call_later(shown.set_interval, 0.02, partial(shown.report, state))
        signal.signal(signal.SIGUSR1, begin_again)
        shown.run(mouse=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
