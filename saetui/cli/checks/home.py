"""The home: whether it can be written, what damaged files have cost, what lies beside the jobs."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Collection, Iterator

from saetui.cli.checks.finding import Finding, good, problem, warning
from saetui.errors import SaetuiError
from saetui.home import Home
from saetui.jobs.damage import read_damage
from saetui.rundir.leftovers import Kind, classify_all


def check_home(home: Home) -> Iterator[Finding]:
    """Whether the home can be made and written, and who else may read it."""
    try:
        home.make()
    except SaetuiError as error:
        yield problem("home", error.message, error.suggestion)
        return
    mode = stat.S_IMODE(home.root.stat().st_mode)
    if mode & 0o077:
        yield warning("home", f"{home.root} can be read by others (mode {mode:o}).", f"chmod 700 {home.root}")
    else:
        yield good("home", str(home.root))


def check_losses(home: Home) -> Iterator[Finding]:
    """What damaged files have cost, until the user acknowledges it."""
    for loss in read_damage(home.root):
        yield warning("losses", loss.sentence(), "Keep or remove that file; then: saetui doctor --acknowledge")


def check_runs(home: Home, known: Collection[str] | None) -> Iterator[Finding]:
    """What lies in `runs/` and is no job. saetui removes nothing of it unless it is provably saetui's own.

    Args:
        home: the home.
        known: the ids of the jobs that the supervisor knows; None where it could not be asked.
    """
    try:
        entries = classify_all(home.runs)
    except OSError as error:
        yield problem(
            "runs", f"{home.runs} cannot be read: {error.strerror or error}.", "Give this user the right to read it."
        )
        return
    for entry in entries:
        path = shlex.quote(entry.shown)
        if entry.kind is Kind.FOREIGN:
            way_out = f"saetui leaves it there. If it is yours, keep it elsewhere: mv {path} …"
            yield warning("runs", f"{entry.shown} {entry.what}.", way_out)
        elif entry.kind is Kind.DELETED:
            yield warning("runs", f"{entry.shown} is left over from the deleted job {entry.job_id}.",
                          f"The next start of the supervisor tries to remove it; if it cannot: lsattr -d {path}, rm -r {path}")  # fmt: skip
        elif entry.kind is Kind.HALF_MADE:
            yield warning("runs", f"{entry.shown} is half of a submission that was never acknowledged.",
                          "The next start of the supervisor removes it.")  # fmt: skip
        elif known is not None and entry.job_id not in known:
            yield warning("runs", f"{entry.shown} has the name of a job, and the supervisor knows no such job.",
                          f"saetui leaves it there. If it is not needed: rm -r {path}")  # fmt: skip
