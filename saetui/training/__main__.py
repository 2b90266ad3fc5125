"""`python -m saetui.training RUN_DIRECTORY`: train what the directory's spec asks for. Started by the runner."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from saetui.rundir.layout import RunDirectory
from saetui.training.control import Requests


def main() -> int:
    """Run one job; 0 when it completed, was stopped or was unloaded for a pause; 1 when it failed."""
    # Files that libraries write into the job's directory are for the user alone too.
    os.umask(0o077)
    run = RunDirectory(Path(sys.argv[1])).entered()
    requests = Requests(run)
    requests.install()
    from saetui.training.job import run_job

    return run_job(run, requests)


if __name__ == "__main__":
    sys.exit(main())
