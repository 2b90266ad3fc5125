from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saetui.supervisor.broadcast import Outbox, Overflow


def change(job: str, number: int, size: int = 0) -> bytes:
    return msgspec.json.encode({"job": job, "number": number, "fill": "x" * size})


async def drain(outbox: Outbox) -> list[tuple[int, str, int]]:
    """Everything that waits, as (seq, job, number)."""
    found = []
    while outbox.size:
        event = msgspec.json.decode((await outbox.take())[4:])
        found.append((event["seq"], event["change"]["job"], event["change"]["number"]))
    return found


async def test_progress_is_replaced_by_newer_progress_and_transitions_are_kept() -> None:
    outbox = Outbox()
    outbox.put_change(change("a", 1), "a", progress_only=True)
    outbox.put_change(change("b", 2), "b", progress_only=True)
    outbox.put_change(change("a", 3), "a", progress_only=True)
    outbox.put_change(change("b", 4), "b", progress_only=False)
    outbox.put_change(change("b", 5), "b", progress_only=True)
    assert await drain(outbox) == [(1, "a", 3), (2, "b", 4), (3, "b", 5)]


async def test_progress_finds_no_room_and_a_transition_overflows() -> None:
    outbox = Outbox(capacity=1000)
    outbox.put_change(change("a", 1, 900), "a", progress_only=False)
    outbox.put_change(change("b", 2, 900), "b", progress_only=True)
    with pytest.raises(Overflow):
        outbox.put_change(change("c", 3, 900), "c", progress_only=False)
    assert await drain(outbox) == [(1, "a", 1)]


async def test_an_answer_always_finds_room_and_the_next_request_waits() -> None:
    outbox = Outbox(capacity=100)
    outbox.put_frame(b"x" * 500)
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await outbox.take() == b"x" * 500
    await waiting


async def test_a_snapshot_takes_the_place_of_the_changes_that_wait() -> None:
    outbox = Outbox()
    outbox.put_change(change("a", 1), "a", progress_only=False)
    await drain(outbox)
    outbox.put_change(change("a", 2), "a", progress_only=True)
    outbox.put_change(change("a", 3), "a", progress_only=False)
    assert outbox.begin() == 1
    outbox.put_change(change("a", 4), "a", progress_only=True)
    assert await drain(outbox) == [(2, "a", 4)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_whatever_comes_each_transition_is_sent_and_the_last_word_of_each_job_is_its_newest(
    changes: list[tuple[str, bool]],
) -> None:
    outbox = Outbox()
    for number, (job, progress_only) in enumerate(changes):
        outbox.put_change(change(job, number), job, progress_only=progress_only)
    sent = asyncio.run(drain(outbox))
    assert [seq for seq, _, _ in sent] == list(range(1, len(sent) + 1))
    numbers = [number for _, _, number in sent]
    assert numbers == sorted(numbers)
    assert {number for number, (_, progress_only) in enumerate(changes) if not progress_only} <= set(numbers)
    for job in {job for job, _ in changes}:
        newest = max(number for number, (other, _) in enumerate(changes) if other == job)
        assert [number for _, other, number in sent if other == job][-1] == newest
    assert outbox.size == 0
