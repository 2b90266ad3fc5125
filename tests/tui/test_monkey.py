"""No key crashes: random keys, sizes and deaths of the supervisor leave a program that can be left by its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.monkey import play


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_half_a_minute_of_a_monkey(tmp_path: Path, seed: int) -> None:
    played = play(tmp_path, 30.0, seed)
    assert played.keys > 100
    assert played.resizes > 2
