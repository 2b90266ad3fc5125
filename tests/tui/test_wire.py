"""Every screen and dialog sends little, while eight jobs run and while nothing changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tui.real_terminal import Terminal
from tests.tui.wire import RUNNING, SCREENS, cost_of, streaming

BYTES_A_SECOND = 2000
IDLE_BYTES_A_SECOND = 100

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with streaming(tmp_path_factory.mktemp("running"), RUNNING, RUNNING) as terminal:
        yield terminal


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with streaming(tmp_path_factory.mktemp("idle"), RUNNING, 0) as terminal:
        yield terminal


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_over_eight_live_jobs_keeps_within_the_bytes_of_a_slow_line(running: Terminal, screen: str) -> None:
    assert cost_of(running, SCREENS[screen], 2.0).bytes_a_second < BYTES_A_SECOND


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_sends_nothing_while_nothing_changes(idle: Terminal, screen: str) -> None:
    assert cost_of(idle, SCREENS[screen], 2.0).bytes_a_second < IDLE_BYTES_A_SECOND
