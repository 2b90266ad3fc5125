"""γ of a site, read from the activation cache without torch."""

from __future__ import annotations

import json
import math
import random
import struct
from pathlib import Path

import pytest

from saetui.catalog.offsets import measured_offsets, offset_ratio
from tests.catalog.test_caches import keep_activations

SITE = "layer_1.resid_post"


def rows_with_offset(gamma: float, count: int = 400, width: int = 24) -> list[list[float]]:
    """Rows of standard deviation 1 around a mean that is γ times as long as the deviations together."""
    drawn = random.Random(0)
    return [[gamma + drawn.gauss(0, 1) for _ in range(width)] for _ in range(count)]


def packed(values: list[float], dtype: str) -> bytes:
    """Little-endian, as safetensors has them."""
    if dtype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{'e' if dtype == 'F16' else 'f'}", *values)


def keep_rows(cache: Path, rows: list[list[float]], dtype: str, used: int = 1, key: str = "ab") -> None:
    """An entry of one shard as saetui.activations.cache_layout writes it."""
    flat = [value for row in rows for value in row]
    data, index = packed(flat, dtype), b"\0" * 80
    header = json.dumps({
        "__metadata__": {"site": SITE},
        "rows": {"dtype": "I64", "shape": [10], "data_offsets": [0, 80]},
        "activations": {"dtype": dtype, "shape": [len(rows), len(rows[0])], "data_offsets": [80, 80 + len(data)]},
    }).encode()  # fmt: skip
    directory = keep_activations(cache, key, used=used, shards=1)
    (directory / "00000.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + index + data)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("gamma", [0.5, 15.0])
def test_gamma_is_read_from_the_cache_in_every_dtype(tmp_path: Path, dtype: str, gamma: float) -> None:
    keep_rows(tmp_path, rows_with_offset(gamma), dtype)
    assert measured_offsets(tmp_path, "bundled:tiny", None, [SITE]) == {SITE: pytest.approx(gamma, rel=0.05)}


def test_few_rows_of_no_offset_do_not_seem_to_have_one() -> None:
    assert offset_ratio(rows_with_offset(0.0, count=40)) == pytest.approx(0.0, abs=0.1)


def test_too_few_rows_or_rows_that_are_all_alike_tell_nothing() -> None:
    assert offset_ratio(rows_with_offset(1.0, count=31)) is None
    assert offset_ratio([[1.0, 2.0]] * 50) is None
    assert offset_ratio([[math.inf, 2.0], [1.0, 1.0]] * 50) is None


def test_another_model_or_site_is_not_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    keep_rows(tmp_path, rows_with_offset(1.0), "F32")
    assert measured_offsets(tmp_path, "gpt2", None, [SITE]) == {}
    assert measured_offsets(tmp_path, "bundled:tiny", "main", [SITE]) == {}
    assert measured_offsets(tmp_path, "bundled:tiny", None, ["layer_2.resid_post"]) == {}


def test_the_entry_used_last_counts_and_a_damaged_one_not_at_all(tmp_path: Path) -> None:
    keep_rows(tmp_path, rows_with_offset(2.0), "F32", used=5, key="0d")
    keep_rows(tmp_path, rows_with_offset(8.0), "F32", used=6, key="e3")
    keep_activations(tmp_path, "da", used=7)
    found = measured_offsets(tmp_path, "bundled:tiny", None, [SITE])
    assert found == {SITE: pytest.approx(8.0, rel=0.05)}


def test_where_nothing_is_kept_nothing_is_said(tmp_path: Path) -> None:
    assert measured_offsets(tmp_path / "none", "bundled:tiny", None, [SITE]) == {}
