"""`python -m saetui.supervisor`: run the supervisor, in the foreground or detached from the process that started it."""

from __future__ import annotations

import os
import sys

DETACH = "--detach"


def main(arguments: list[str]) -> int:
    """Serve until asked to leave. Returns the exit code."""
    from saetui.supervisor.process import run

    return run(arguments)


if __name__ == "__main__":
    # Become an orphan in a session of our own before anything heavy is loaded, and while there is only one thread.
    if DETACH in sys.argv[1:] and os.fork() != 0:
        os._exit(0)
    sys.exit(main(sys.argv[1:]))
