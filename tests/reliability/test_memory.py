"""However often clients do everything wrong: what they made the supervisor take is given back."""

from __future__ import annotations

from tests.benchmarks.bad_connections import abuse
from tests.reliability.machine import ReliableMachine, descriptors_of, memory_kib

GROWTH_KIB = 6_000
"""Of five rounds of 60 bad connections; before connections let go of their last message it was 200,000."""


def test_rounds_of_bad_connections_leave_memory_and_descriptors_as_they_were(machine: ReliableMachine) -> None:
    pid = machine.start("--silence-seconds=0.3")
    abuse(machine.home, clients=60)
    memory, descriptors = memory_kib(pid), descriptors_of(pid)
    for _ in range(5):
        abuse(machine.home, clients=60)
    assert memory_kib(pid) - memory < GROWTH_KIB
    assert descriptors_of(pid) <= descriptors + 2
