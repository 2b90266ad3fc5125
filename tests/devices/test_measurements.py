"""A value or a reason: the reason is short, and older clients find the first device where they always did."""

from __future__ import annotations

import msgspec
import pytest

from saetui.devices.measurements import LONGEST_REASON, Missing, device_load, device_reading
from saetui.protocol.device_load import DeviceLoad
from saetui.protocol.messages import DeviceReading


def test_a_reason_is_short_enough_for_the_top_line() -> None:
    assert Missing("x" * LONGEST_REASON).reason
    for wrong in ("", "x" * (LONGEST_REASON + 1)):
        with pytest.raises(ValueError, match="characters"):
            Missing(wrong)


def test_a_figure_is_a_value_or_has_a_reason() -> None:
    load = device_load("Card", "cuda", {"load_share": 0.5, "power_watts": Missing("no meter")})
    assert (load.load_share, load.power_watts, load.missing) == (0.5, None, {"power_watts": "no meter"})
    with pytest.raises(TypeError):
        device_load("Card", "cuda", {"load": 0.5})


class OldReading(msgspec.Struct, kw_only=True):
    """What clients knew as a reading before there were several devices."""

    name: str
    kind: str
    load: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None
    missing: dict[str, str] = {}


def test_an_older_client_reads_the_first_device() -> None:
    first = device_load(
        "Card",
        "cuda",
        {
            "load_share": 0.5,
            "memory_total_bytes": 100,
            "memory_available_bytes": 60,
            "memory_used_bytes": 40,
            "temperature_celsius": 61.0,
            "power_watts": Missing("no meter"),
            "slowed_by": Missing("only NVML tells it"),
        },
    )
    sent = msgspec.json.encode(device_reading([first, DeviceLoad(name="CPU", kind="cpu")]))
    old = msgspec.json.decode(sent, type=OldReading)
    assert old == OldReading(
        name="Card",
        kind="cuda",
        load=0.5,
        memory_used=40,
        memory_total=100,
        temperature=61,
        missing={"power": "no meter"},
    )


def test_the_reading_of_an_older_supervisor_has_no_further_devices() -> None:
    old = msgspec.json.encode(OldReading(name="CPU, 2 cores", kind="cpu", load=0.5))
    assert msgspec.json.decode(old, type=DeviceReading) == DeviceReading(name="CPU, 2 cores", kind="cpu", load=0.5)
