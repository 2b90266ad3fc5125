"""How much the worst clients slow a trainer down: a ratio to print, never to assert."""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from saetui.training.notifier import Notifier
from tests.reliability.abuses import ABUSES
from tests.reliability.machine import ReliableMachine

ROUNDS = 4
ROUND_SECONDS = 1.0
CLIENTS = 200
BLOCK = bytes(1 << 20)


def speed_ratio(machine: ReliableMachine) -> float:
    """Steps a second of a loop that hints at every step as a trainer does: beside bad clients, over alone.

    Both in turns, since whatever else the machine does comes and goes.
    """
    alone, beside = [], []
    for _ in range(ROUNDS):
        alone.append(_steps(machine))
        with _bad_clients(machine):
            beside.append(_steps(machine))
    return median(beside) / median(alone)


@contextmanager
def _bad_clients(machine: ReliableMachine) -> Iterator[None]:
    clients = []
    for number in range(CLIENTS):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(machine.home.socket))
        client.setblocking(False)
        clients.append(client)
        try:
            client.send(list(ABUSES.values())[number % len(ABUSES)])
        except BlockingIOError:
            continue
    yield
    for client in clients:
        client.close()


def _steps(machine: ReliableMachine) -> int:
    notifier = Notifier(machine.home.socket, "soak")
    steps, end = 0, time.monotonic() + ROUND_SECONDS
    while time.monotonic() < end:
        zlib.crc32(BLOCK)
        notifier.notify()
        steps += 1
    notifier.close()
    return steps
