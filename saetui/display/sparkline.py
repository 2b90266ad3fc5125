"""A curve in one line of text, for terminals and pipes that show no more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The values as bars from the smallest to the largest; of more than `width`, a bar is the mean of several.

    Values that are not finite are left out. Equal values are low bars.
    """
    sound = [value for value in values if math.isfinite(value)]
    if len(sound) > width:
        edges = [index * len(sound) // width for index in range(width + 1)]
        sound = [math.fsum(sound[low:high]) / (high - low) for low, high in itertools.pairwise(edges)]
    low, high = min(sound, default=0.0), max(sound, default=0.0)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((value - low) / step)] for value in sound)
