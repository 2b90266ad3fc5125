"""Apps to press keys in: one on a fixed source, one on a real supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from saetui.jobs.job import Job
from saetui.jobs.templates import Template
from saetui.protocol.messages import DeviceReading
from saetui.tui.app import SaetuiApp
from tests.tui.fixed import DEVICE, FixedSource

MakeApp = Callable[..., SaetuiApp]


@pytest.fixture(autouse=True)
def whole_presses(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Pilot.press` returns when all that its keys caused is done. It does not know that keys wait in a queue of ours."""
    press = Pilot.press

    async def press_to_the_end(self: Pilot[Any], *keys: str) -> None:
        await press(self, *keys)
        while isinstance(self.app, SaetuiApp) and self.app.is_running and not self.app.key_queue.at_rest:
            await self.pause(0.005)

    monkeypatch.setattr(Pilot, "press", press_to_the_end)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are drawn in the zone of who looks."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def fixed_app(monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """Makes apps that show given jobs and templates, in the default theme, without a supervisor."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def make(
        jobs: Sequence[Job] = (), templates: Sequence[Template] = (), device: DeviceReading | None = DEVICE
    ) -> SaetuiApp:
        return SaetuiApp(FixedSource(jobs, templates, device), theme="saetui")

    return make
