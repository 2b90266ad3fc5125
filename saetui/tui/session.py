"""One sitting at the TUI: from its start to the line that is printed after its end. `run` is the entry."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

from textual.worker import WorkerFailed

from saetui.client.link import Link
from saetui.display.text import one_line
from saetui.formats.durable import write_durably
from saetui.formats.times import now
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.tui.app import SaetuiApp
from saetui.tui.state import Model
from saetui.tui.terminal import require_screen


def run(home: Home, job: str | None = None) -> int:
    """Show the TUI until the user leaves; then print what goes on without it.

    Args:
        home: where the jobs are.
        job: the id of the job to highlight.

    Returns:
        The exit status: 1 where a fault of the TUI ended it. Standard error then names the file with the traceback.

    Raises:
        SaetuiError: this terminal cannot show it.
    """
    require_screen()
    app = SaetuiApp(Link(home), home=home, job=job)
    try:
        app.run(mouse=False)
        fault: BaseException | None = app._exception
    except Exception as error:
        fault = error
    if isinstance(fault, WorkerFailed):
        fault = fault.error
    if fault is not None:
        print(told(fault, keep_traceback(fault, home)), file=sys.stderr)
        return 1
    print(farewell(app.model))
    return app.return_code or 0


def keep_traceback(fault: BaseException, home: Home) -> Path | None:
    """Write a fault's traceback to a file of the home, or of the system's temporary directory; None: to neither."""
    text = "".join(traceback.format_exception(type(fault), fault, fault.__traceback__))
    for folder in (home.crashes, Path(tempfile.gettempdir())):
        path = folder / f"saetui-{now('seconds').replace(':', '')}.txt"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(path, text.encode("utf-8", "backslashreplace"))
        except OSError:
            continue
        return path
    return None


def told(fault: BaseException, path: Path | None) -> str:
    """One line about a fault of the TUI."""
    where = "No file could be written for its traceback." if path is None else f"Its traceback is in {path}."
    reason = one_line(f"{type(fault).__name__}: {fault}")[:200]
    return (
        f"saetui: a fault of the screens ended them ({reason}). {where} Jobs go on; `saetui` opens the screens again."
    )


def farewell(model: Model) -> str:
    """One line for after the end: what goes on, and how to come back."""
    names = [job.name for job in model.jobs.values() if job.holds_device]
    unloaded = sum(job.unloaded for job in model.jobs.values())
    queued = model.count(Status.QUEUED)
    if not names and not queued:
        paused = f" {unloaded} paused." if unloaded else ""
        return f"No job is running.{paused} `saetui` opens the list again."
    parts = []
    if names:
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        parts.append(f"{len(names)} job{'s' if len(names) > 1 else ''} running ({shown})")
    if queued:
        parts.append(f"{queued} queued")
    return f"{' and '.join(parts)}: the training goes on without this window. `saetui` shows it again."
