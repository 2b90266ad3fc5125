"""Labels of axes."""

from __future__ import annotations

import pytest

from saetui.display.ticks import log_label, step_label, tick_labels


def test_steps_are_short() -> None:
    assert [step_label(step) for step in (0, 10, 500, 1000, 2500, 100_000, 1_250_000)] == [
        "0", "10", "500", "1k", "2.5k", "100k", "1.25M",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ticks", "stride", "labels"),
    [
        ((0.0, 0.5, 1.0), 0.5, ("0", "0.5", "1.0")),
        ((0.08, 0.1, 0.12), 0.02, ("0.08", "0.10", "0.12")),
        ((0.0, 40.0, 80.0), 40.0, ("0", "40", "80")),
        ((0.0, 5e-4, 1e-3), 5e-4, ("0", "5e-4", "1e-3")),
        ((11_600.0, 12_000.0, 12_400.0), 400.0, ("11.6k", "12.0k", "12.4k")),
        ((0.0, 2e6, 4e6), 2e6, ("0", "2M", "4M")),
        ((-0.2, 0.0, 0.2), 0.2, ("-0.2", "0", "0.2")),
    ],
)
def test_neighbours_are_told_apart_in_one_notation(
    ticks: tuple[float, ...], stride: float, labels: tuple[str, ...]
) -> None:
    assert tick_labels(ticks, stride) == labels


def test_a_logarithmic_tick_has_three_digits_at_most() -> None:
    assert [log_label(value) for value in (1e-5, 0.001, 0.15625, 2.5, 1000.0, 1e5, 1e13)] == [
        "1e-5", "0.001", "0.156", "2.5", "1k", "100k", "1e13",
    ]  # fmt: skip
