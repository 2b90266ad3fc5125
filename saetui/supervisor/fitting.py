"""Making a list of jobs fit into one frame, for those who keep thousands."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from saetui.jobs.job import Job

ROOM = 3 << 20
"""Bytes that the jobs of one answer may take: a frame less what templates and the rest need."""


def fitting(jobs: Sequence[Job], room: int = ROOM) -> tuple[Job, ...]:
    """The jobs, in order; where there are too many, old ended ones without their metrics, then without the oldest ended.

    A job that is left out can still be asked for by its id.
    """
    if _size(jobs) <= room:
        return tuple(jobs)
    shown = [msgspec.structs.replace(job, metrics={}) if job.status.ended else job for job in jobs]
    surplus = _size(shown) - room
    left_out = set()
    for job in shown:
        if surplus > 0 and job.status.ended:
            left_out.add(job.id)
            surplus -= _size([job])
    return tuple(job for job in shown if job.id not in left_out)


def _size(jobs: Sequence[Job]) -> int:
    return len(msgspec.json.encode(jobs))
