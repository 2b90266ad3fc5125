"""`python -m saetui.training RUN_DIRECTORY`: train what the directory's spec asks for. Started by the runner."""

from __future__ import annotations

import sys
from pathlib import Path

from saetui.training.stopping import StopWish


def main() -> int:
    """Run one job; 0 when it completed or was stopped, 1 when it failed."""
    stop = StopWish()
    stop.install()
    directory = Path(sys.argv[1])
    from saetui.training.job import run_job

    return run_job(directory, stop)


if __name__ == "__main__":
    sys.exit(main())
