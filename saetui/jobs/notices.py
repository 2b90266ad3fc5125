"""What is said when a job has ended: a sentence, and how a terminal is told to show it outside its window."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from saetui.display.figures import duration, number
from saetui.display.text import one_line, shorten
from saetui.jobs.job import Job, Status

WORTH_A_NOTICE = frozenset({Status.COMPLETED, Status.FAILED, Status.LOST})
"""Ends that come by themselves: nobody needs to be told of their own stop."""

MOST_CELLS = 200
"""Of a sentence: a failed job's reason may be long."""


def has_ended(before: Job | None, now: Job) -> bool:
    """Whether a job that went on has ended by itself."""
    return before is not None and not before.status.ended and now.status in WORTH_A_NOTICE


def ended_notice(jobs: Sequence[Job]) -> str:
    """A sentence about jobs that have just ended.

    Args:
        jobs: at least one.
    """
    if len(jobs) == 1:
        return shorten(one_line(_sentence(jobs[0])), MOST_CELLS)
    bad = sum(job.status is not Status.COMPLETED for job in jobs)
    names = ", ".join(job.name for job in jobs)
    return shorten(
        one_line(f"{len(jobs)} jobs have ended{f', {bad} of them badly' if bad else ''}: {names}"), MOST_CELLS
    )


def desktop_notice(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The sequence by which a terminal shows a text as a notice of the desktop; "" for one that would print it.

    OSC 777 for the terminals that came with it, OSC 9 for all others. tmux passes it on only with `allow-passthrough`.
    """
    plain = "".join(letter for letter in one_line(text) if letter.isprintable())
    terminal = environment.get("TERM", "")
    if terminal in ("", "dumb", "linux"):
        return ""
    if terminal.startswith(("rxvt", "foot")):
        sequence = f"\x1b]777;notify;saetui;{plain.replace(';', ',')}\x1b\\"
    else:
        sequence = f"\x1b]9;{plain}\x1b\\"
    if "TMUX" in environment:
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        sequence = f"\x1bPtmux;{doubled}\x1b\\"
    return sequence


def _sentence(job: Job) -> str:
    if job.status is Status.FAILED:
        return f"{job.name} failed: {job.error.message}" if job.error is not None else f"{job.name} failed."
    if job.status is Status.LOST:
        return f"{job.name} is lost: the machine went down."
    elapsed = job.elapsed_seconds()
    parts = [f"{job.name} completed" + (f" after {duration(elapsed)}" if elapsed is not None else "")]
    fvu, l0 = job.mean_metric("eval_fvu"), job.mean_metric("eval_l0")
    if fvu is not None and l0 is not None:
        parts.append(f"held-out FVU {number(fvu)} at L0 {l0:.0f}")
    return ": ".join(parts)
