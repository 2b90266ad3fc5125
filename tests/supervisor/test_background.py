"""Nothing that goes on beside the requests ends the service by failing; it is reported, and begins again."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from saetui.supervisor.background import Background


async def test_work_that_fails_begins_again_after_a_pause_that_grows(caplog: pytest.LogCaptureFixture) -> None:
    background = Background(first_pause=0.001)
    attempts: list[float] = []
    recovered = asyncio.Event()

    async def work() -> None:
        attempts.append(asyncio.get_running_loop().time())
        if len(attempts) < 6:
            raise OSError(24, "Too many open files")
        recovered.set()
        await asyncio.Event().wait()

    background.repeat("sampling", work)
    await asyncio.wait_for(recovered.wait(), 5)
    pauses = [after - before for before, after in itertools.pairwise(attempts)]
    assert pauses[4] > pauses[1] > 0.001
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [bool(record.exc_info) for record in failures] == [True, False, False, False, False], (
        "one traceback is enough"
    )
    assert background.troubles == ("sampling failed: [Errno 24] Too many open files",)
    background.close()


async def test_work_that_should_never_end_and_does_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    background = Background(first_pause=0.001)
    begun = 0
    twice = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            twice.set()

    background.repeat("watching", work)
    await asyncio.wait_for(twice.wait(), 5)
    assert "watching ended" in caplog.text
    background.close()


async def test_one_failure_among_clients_is_that_clients(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    served = asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("no")

    async def serve() -> None:
        served.set()

    background.once("a client's connection", fail())
    background.once("a client's connection", serve())
    await asyncio.wait_for(served.wait(), 5)
    await asyncio.sleep(0)
    assert "a client's connection failed" in caplog.text and background.troubles == ()
