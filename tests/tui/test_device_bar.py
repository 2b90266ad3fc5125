"""The device's line: what cannot be had is said, with its reason, and never 0."""

from __future__ import annotations

import pytest

from saetui.protocol.messages import DeviceReading
from tests.tui.conftest import MakeApp
from tests.tui.pressing import screen_text, until

NOTHING_KNOWN = DeviceReading(
    name="CPU, 2 cores",
    kind="cpu",
    missing={"load": "first reading", "temperature": "no sensor is readable here", "power": "no meter"},
)
REASONS = ("load n/a (first reading)", "temp n/a (no sensor is readable here)", "power n/a (no meter)")


@pytest.mark.parametrize(("width", "shown"), [(160, 3), (110, 2), (80, 1), (76, 0)])
async def test_missing_figures_have_their_whole_reasons_where_there_is_room(
    fixed_app: MakeApp, width: int, shown: int
) -> None:
    app = fixed_app(device=NOTHING_KNOWN)
    async with app.run_test(size=(width, 24)) as pilot:
        await until(pilot, lambda: "CPU, 2 cores" in screen_text(app.screen))
        first = screen_text(app.screen).splitlines()[0]
        assert "n/a" in first
        assert " 0" not in first
        assert tuple(reason for reason in REASONS if reason in first) == REASONS[:shown]
        assert "…" not in first and all(figure in first for figure in ("mem", "load", "temp", "power"))


async def test_an_unknown_device_shows_nothing_invented(fixed_app: MakeApp) -> None:
    app = fixed_app(device=None)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model.known)
        await pilot.pause()
        assert "n/a" not in screen_text(app.screen).splitlines()[0]
