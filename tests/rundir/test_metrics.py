from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from saetui.errors import FormatError
from saetui.rundir.metrics import MetricReader, MetricWriter

SITES = ("layer_1.resid_post", "layer_2.resid_post")
COLUMNS = ("loss", "l0", "fvu")


def write(path: Path, steps: int) -> None:
    writer = MetricWriter(path, SITES, COLUMNS)
    for step in range(10, 10 * steps + 1, 10):
        for site in SITES:
            writer.append(step, site, {"loss": 1 / step, "l0": 32.0})
    writer.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "training.rows"
    write(path, 3)
    reader = MetricReader(path)
    assert reader.poll() == 6
    assert reader.series(SITES[0], "loss") == ([10, 20, 30], [1 / 10, 1 / 20, 1 / 30])
    assert reader.latest(SITES[1]) == (30, {"loss": 1 / 30, "l0": 32.0})


def test_an_absent_metric_is_absent_and_a_nan_is_a_nan(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    writer = MetricWriter(path, ("job",), ("a", "b"))
    writer.append(1, "job", {"a": math.nan})
    reader = MetricReader(path)
    reader.poll()
    latest = reader.latest("job")
    assert latest is not None
    assert set(latest[1]) == {"a"}
    assert math.isnan(latest[1]["a"])
    assert reader.series("job", "b") == ([], [])


def test_a_reader_follows_a_log_that_grows_and_may_not_be_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    reader = MetricReader(path)
    assert reader.poll() == 0
    writer = MetricWriter(path, ("job",), ("a",))
    assert reader.poll() == 0
    writer.append(1, "job", {"a": 1.0})
    assert reader.poll() == 1
    writer.append(2, "job", {"a": 2.0})
    writer.append(3, "job", {"a": 3.0})
    assert reader.poll() == 2
    assert reader.poll() == 0
    assert reader.series("job", "a") == ([1, 2, 3], [1.0, 2.0, 3.0])


def test_cut_at_any_byte_every_whole_row_before_the_cut_is_read_and_the_log_can_go_on(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 2)
    data = path.read_bytes()
    header = data.index(b"\n") + 1
    width = (len(data) - header) // 4
    for cut in range(header, len(data)):
        path.write_bytes(data[:cut])
        reader = MetricReader(path)
        assert reader.poll() == (cut - header) // width
        writer = MetricWriter(path, SITES, COLUMNS)
        writer.append(99, SITES[0], {"fvu": 0.5})
        writer.close()
        again = MetricReader(path)
        assert again.poll() == (cut - header) // width + 1
        assert again.latest(SITES[0]) == (99, {"fvu": 0.5})


def test_a_flipped_bit_ends_the_log_there_and_is_never_read_as_a_value(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 4)
    data = bytearray(path.read_bytes())
    header = data.index(b"\n") + 1
    width = (len(data) - header) // 8
    rng = random.Random(0)
    for _ in range(200):
        damaged = bytearray(data)
        position = rng.randrange(header, len(data))
        damaged[position] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        assert MetricReader(path).poll() == (position - header) // width


def test_a_resume_cuts_what_lies_past_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 5)
    reader = MetricReader(path)
    reader.poll()
    writer = MetricWriter(path, SITES, COLUMNS, keep_through=30)
    writer.append(40, SITES[0], {"loss": 7.0})
    reader.poll()
    assert reader.series(SITES[0], "loss") == ([10, 20, 30, 40], [1 / 10, 1 / 20, 1 / 30, 7.0])


def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"hello\nworld\n")
    with pytest.raises(FormatError, match="not a metric log"):
        MetricReader(path).poll()
    with pytest.raises(FormatError):
        MetricWriter(path, SITES, COLUMNS)
    assert path.read_bytes() == b"hello\nworld\n"


def test_other_columns_than_the_log_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 1)
    with pytest.raises(FormatError, match="other sites or columns"):
        MetricWriter(path, SITES, ("loss",))
    writer = MetricWriter(path, SITES, COLUMNS)
    with pytest.raises(ValueError, match="no column speed"):
        writer.append(1, SITES[0], {"speed": 1.0})


def test_rows_come_by_step_and_then_by_site(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 2)
    reader = MetricReader(path)
    reader.poll()
    assert [(step, site) for step, site, _ in reader.rows()] == [(s, site) for s in (10, 20) for site in SITES]
