from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.machine import Hold, ReliableMachine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[ReliableMachine]:
    """A machine on which anything may be killed; at the end no process is left."""
    machine = ReliableMachine(tmp_path)
    yield machine
    assert machine.clean() == [], "processes were left behind"


@pytest.fixture
def hold(tmp_path: Path) -> Hold:
    return Hold(tmp_path / "go")
