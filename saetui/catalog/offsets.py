"""γ = ‖mean‖ / ‖standard deviation‖ of a site's activations, read from the activation cache without torch.

γ forecasts the share of latents that are dead at the start when b_dec does not begin at the mean (arXiv 2605.31518: Spearman
.89 over 454 layers; GPT-2 has γ below 1 and hardly any dead latents, AlphaFold 3 has 15 and over 70 %).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from pathlib import Path

from saetui.catalog.caches import list_caches
from saetui.formats.caches import ACTIVATIONS

VALUES = 400_000
"""How many numbers are read of a site: they take a moment, and are some hundred rows or more."""
FEWEST_ROWS = 32
LARGE = 3.0
"""An SAE that does not begin at the mean loses many of its latents above this γ."""


def measured_offsets(cache: Path, model: str, revision: str | None, sites: Iterable[str]) -> dict[str, float]:
    """γ of each site of a model that is in the activation cache, from the entry that was used last.

    Args:
        cache: the cache directory of a home.
        model: the model in the spec.
        revision: the revision in the spec.
        sites: the sites' names.
    """
    found: dict[str, float] = {}
    entries = [entry for entry in list_caches(cache) if entry.kind == ACTIVATIONS and entry.readable]
    for site in sites:
        for entry in entries:
            if (entry.model, entry.revision, entry.site) != (model, revision, site):
                continue
            gamma = _of_entry(Path(entry.directory))
            if gamma is not None:
                found[site] = gamma
                break
    return found


def offset_ratio(rows: Iterable[Iterable[float]]) -> float | None:
    """γ of rows of activations (n, d). None for too few rows, or rows that do not vary."""
    table = [list(row) for row in rows]
    count = len(table)
    if count < FEWEST_ROWS:
        return None
    squared_mean = variance = 0.0
    for column in zip(*table):
        mean = math.fsum(column) / count
        squared_mean += mean * mean
        variance += math.fsum((value - mean) ** 2 for value in column) / (count - 1)
    if not (math.isfinite(squared_mean) and variance > 0):
        return None
    # The squared mean of few rows is too large by the variance / count.
    return math.sqrt(max(squared_mean / variance - 1 / count, 0.0))


def _of_entry(directory: Path) -> float | None:
    """γ of the first shard. None where it cannot be read: `saetui cache verify` says why."""
    shards = sorted(directory.glob("*.safetensors"))
    if not shards:
        return None
    try:
        return offset_ratio(_some_rows(shards[0]))
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def _some_rows(shard: Path) -> list[tuple[float, ...]]:
    """Evenly spaced rows of a shard."""
    with shard.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > shard.stat().st_size:
            raise ValueError("not a safetensors file")
        header = json.loads(file.read(length))["activations"]
        (count, width), dtype = header["shape"], header["dtype"]
        begin = 8 + length + header["data_offsets"][0]
        size = width * {"F32": 4, "BF16": 2, "F16": 2}[dtype]
        wanted = min(count, max(FEWEST_ROWS, VALUES // width))
        rows = []
        for number in range(wanted):
            file.seek(begin + number * count // wanted * size)
            rows.append(_numbers(file.read(size), dtype))
        return rows


def _numbers(data: bytes, dtype: str) -> tuple[float, ...]:
    if dtype == "F16":
        return struct.unpack(f"<{len(data) // 2}e", data)
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        widened = bytearray(2 * len(data))
        widened[2::4], widened[3::4] = data[0::2], data[1::2]
        data = bytes(widened)
    return struct.unpack(f"<{len(data) // 4}f", data)
