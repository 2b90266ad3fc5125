"""What the supervisor's memory does while clients do everything wrong, round after round.

    python -m tests.benchmarks.bad_connections --rounds 50

One line a round: resident memory (KiB) and descriptors after all of its clients have gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import tempfile
from pathlib import Path

from saetui.client.blocking import ask
from saetui.home import Home
from saetui.protocol.messages import GetStatus
from tests.conditions import eventually
from tests.reliability.abuses import ABUSES
from tests.reliability.machine import ReliableMachine, descriptors_of, memory_kib

CLIENTS = 220


def abuse(home: Home, clients: int = CLIENTS) -> None:
    """One round: so many clients at once, each of which does one of the things that no client should; then all leave."""
    abusers = []
    contents = list(ABUSES.values())
    for number in range(clients):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(home.socket))
        client.settimeout(0.2)
        # It may be cut off already, or not be read: both are what is tried.
        with contextlib.suppress(OSError):
            client.sendall(contents[number % len(contents)])
        abusers.append(client)
    ask(GetStatus(), home, start=False, timeout=20)
    for client in abusers:
        client.close()
    eventually(lambda: ask(GetStatus(), home, start=False).clients == 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ["SAETUI_HOME"] = str(root / "home")
        machine = ReliableMachine(root)
        try:
            pid = machine.start("--silence-seconds=1")
            print(f"start {memory_kib(pid)} KiB, {descriptors_of(pid)} descriptors", flush=True)
            for number in range(options.rounds):
                abuse(machine.home)
                print(f"{number + 1} {memory_kib(pid)} KiB, {descriptors_of(pid)} descriptors", flush=True)
            print(f"at most {memory_kib(pid, 'VmHWM')} KiB")
        finally:
            machine.clean()
    return 0


if __name__ == "__main__":
    sys.exit(main())
