"""Apps to press keys in: one on a fixed source, one on a real supervisor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from saetui.jobs.job import Job
from saetui.jobs.templates import Template
from saetui.protocol.messages import DeviceReading
from saetui.tui.app import SaetuiApp
from tests.tui.fixed import DEVICE, FixedSource

MakeApp = Callable[..., SaetuiApp]


@pytest.fixture
def fixed_app(monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """Makes apps that show given jobs and templates, in the default theme, without a supervisor."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def make(
        jobs: Sequence[Job] = (), templates: Sequence[Template] = (), device: DeviceReading | None = DEVICE
    ) -> SaetuiApp:
        return SaetuiApp(FixedSource(jobs, templates, device), theme="saetui")

    return make
