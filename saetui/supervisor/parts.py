"""Answers whose jobs do not fit in one frame: they go in several, and nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from saetui.errors import ProtocolError
from saetui.jobs.job import Job
from saetui.protocol.framing import TO_CLIENT_LIMIT, encode, failure_of
from saetui.protocol.messages import JobsPart, ManyJobs, Reply, Snapshot

PART_BYTES = 1 << 20
"""About so many bytes of jobs go in a frame: few enough that the supervisor answers others between two."""

_FIGURE_BYTES = 40
_OTHER_BYTES = 1000


def needs_parts(reply: Reply) -> bool:
    """Whether the jobs of an answer are too many for one frame."""
    return isinstance(reply.result, (ManyJobs, Snapshot)) and sum(map(_weight, reply.result.jobs)) > PART_BYTES


def frames_of(reply: Reply) -> Iterator[bytes]:
    """The frames of such an answer, in order: its jobs in parts, then the rest of it."""
    assert isinstance(reply.result, (ManyJobs, Snapshot))
    try:
        for jobs in _parts(reply.result.jobs):
            yield encode(JobsPart(reply.id, jobs), TO_CLIENT_LIMIT)
        yield encode(Reply(reply.id, msgspec.structs.replace(reply.result, jobs=())), TO_CLIENT_LIMIT)
    except ProtocolError as error:
        yield encode(failure_of(error, reply.id), TO_CLIENT_LIMIT)


def _parts(jobs: Sequence[Job]) -> Iterator[tuple[Job, ...]]:
    part: list[Job] = []
    bytes_in_part = 0
    for job in jobs:
        if part and bytes_in_part + _weight(job) > PART_BYTES:
            yield tuple(part)
            part, bytes_in_part = [], 0
        part.append(job)
        bytes_in_part += _weight(job)
    yield tuple(part)


def _weight(job: Job) -> int:
    """About how many bytes a job takes. A frame may have four times as many: an estimate is enough, and quick."""
    return _OTHER_BYTES + _FIGURE_BYTES * sum(map(len, job.metrics.values()))
