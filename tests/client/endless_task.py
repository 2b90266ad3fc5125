"""A task that says once that it works, and never ends."""

from __future__ import annotations

import sys
import time

from saetui.protocol.tasks import PROGRESS

if __name__ == "__main__":
    print(f"{PROGRESS}at work", file=sys.stderr, flush=True)
    while True:
        time.sleep(1)
