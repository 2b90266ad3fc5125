"""`python -m tests.tui.streaming_program HOME JOBS RUNNING`: the TUI on a list of jobs, of which some run.

The running jobs report a step ten times a second each, as many as a supervisor passes on. Their figures are in their
directories, where `write_runs` puts them. With 0 running jobs all of them have ended, and nothing ever changes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from saetui.client.link import Unreachable
from saetui.jobs.job import Job, Status
from saetui.jobs.templates import BUILTIN_TEMPLATES
from saetui.protocol.messages import Event, JobChanged, Snapshot
from saetui.tui import app
from saetui.tui.app import SaetuiApp
from tests.tui.fixed import FixedSource
from tests.tui.runs import RunMaker, make_job

REPORT_SECONDS = 0.1
STEPS = 100_000
FIGURES = {"layer_2.resid_post": {"loss": 0.0912, "fvu": 0.0843, "l0": 32.0, "dead_fraction": 0.021}}


def listed_jobs(home: Path, count: int, running: int) -> list[Job]:
    """The running jobs first."""
    return [
        make_job(home, number, Status.RUNNING if number < running else Status.COMPLETED, step=2000, num_steps=STEPS)
        for number in range(count)
    ]


def write_runs(home: Path, jobs: list[Job]) -> list[RunMaker]:
    """The directories of jobs, with the figures of 2,000 steps. The makers write more of them."""
    makers = [RunMaker(home, job, seed=number) for number, job in enumerate(jobs)]
    for maker in makers:
        maker.event("started", "Training begins.", step=0)
        maker.run.log.write_text("".join(f"line {line} of the log\n" for line in range(300)))
        maker.train(2000)
    return makers


class StreamingSource(FixedSource):
    """Tells of a step of each running job ten times a second."""

    def __init__(self, jobs: list[Job]) -> None:
        self._running = [job for job in jobs if job.status is Status.RUNNING]
        super().__init__(jobs, BUILTIN_TEMPLATES)

    async def updates(self) -> AsyncIterator[Snapshot | Event | Unreachable]:
        reporting = asyncio.create_task(self._report())
        try:
            async for news in super().updates():
                yield news
        finally:
            reporting.cancel()

    async def _report(self) -> None:
        step = 2000
        while self._running:
            await asyncio.sleep(REPORT_SECONDS)
            step += 1
            noise = (step * 7919 % 1000) / 1e6
            figures = {site: {name: value + noise for name, value in of.items()} for site, of in FIGURES.items()}
            for job in self._running:
                changed = msgspec.structs.replace(
                    job, step=step, progress=step / STEPS, metrics=figures, tokens_per_second=12000 + step % 500
                )
                self.tell(JobChanged(changed, progress_only=True))


def main(home: Path, count: int, running: int) -> None:
    class StreamingApp(SaetuiApp):
        CSS_PATH = str(Path(app.__file__).with_name("style.tcss"))

    StreamingApp(StreamingSource(listed_jobs(home, count, running)), theme="saetui").run(mouse=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
