"""Labels of axes: short, in one notation for all ticks, with enough digits to tell neighbours apart."""

from __future__ import annotations

import math
from collections.abc import Sequence


def step_label(step: float) -> str:
    """A step, or another number from 0.001 on, in few letters: 500, 1k, 2.5k, 1M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:.4g}{unit}"
    return f"{step:.4g}"


def tick_labels(ticks: Sequence[float], stride: float) -> tuple[str, ...]:
    """Labels of equally spaced ticks."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest == 0:
        return tuple("0" for _ in ticks)
    top, fine = math.floor(math.log10(largest) + 1e-9), math.floor(math.log10(stride) + 1e-9)
    spare = 0 if abs(stride / 10.0**fine - round(stride / 10.0**fine)) < 1e-6 else 1
    if top <= -3 or fine - spare < -5:
        return tuple(_power(tick, max(0, top - fine + spare)) for tick in ticks)
    if top >= 4:
        return tuple(_thousands(tick, max(0, 3 * (top // 3) - fine + spare), top // 3) for tick in ticks)
    return tuple(f"{tick:.{max(0, spare - fine)}f}" if tick else "0" for tick in ticks)


def log_label(value: float) -> str:
    """The label of a tick on a logarithmic axis."""
    value = float(f"{value:.2e}")
    return step_label(value) if 1e-3 <= value < 1e12 else _power(value, 1)


def _power(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def _thousands(value: float, digits: int, group: int) -> str:
    if value == 0:
        return "0"
    if group > 3:
        return _power(value, min(3, digits))
    return f"{value / 1000.0**group:.{digits}f}{'kMG'[group - 1]}"
