"""A task that says what it does and then hangs, as a broken driver makes a process hang: SIGTERM does not end it."""

from __future__ import annotations

import signal
import time

if __name__ == "__main__":
    import sys

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("progress: computing on Broken GPU", file=sys.stderr, flush=True)
    time.sleep(600)
