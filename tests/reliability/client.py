"""A client as a process: submits the spec of a file, says the job's id, and follows the job to its end.

It starts no supervisor of its own, since that would not know the test's trainer; it waits until there is one again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from saetui.client.blocking import ask
from saetui.client.blocking_client import BlockingClient
from saetui.errors import SaetuiError, SupervisorError
from saetui.jobs.job import Job
from saetui.protocol.messages import GetJob, Submit

POLL_SECONDS = 0.02


def main(spec: str) -> None:
    try:
        job = ask(Submit(json.loads(Path(spec).read_text())), start=False).job
    except SaetuiError as error:
        sys.exit(f"not acknowledged: {error.message}")
    print(job.id, flush=True)
    for seen in follow(job.id):
        print(seen.status.value, seen.step, flush=True)


def follow(job_id: str) -> Iterator[Job]:
    while True:
        try:
            with BlockingClient.connect() as client:
                news = client.news()
                for _ in news:
                    job = client.request(GetJob(job_id)).job
                    yield job
                    if job.status.ended:
                        return
        except SupervisorError:
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
