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


def read(path: Path) -> list[tuple[int, str, dict[str, float]]]:
    reader = MetricReader(path)
    reader.poll()
    return list(reader.rows())


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


def test_a_flipped_bit_costs_its_own_row_and_is_never_read_as_a_value(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 4)
    sound = read(path)
    data = bytearray(path.read_bytes())
    header = data.index(b"\n") + 1
    width = (len(data) - header) // 8
    rng = random.Random(0)
    for _ in range(200):
        damaged = bytearray(data)
        position = rng.randrange(header, len(data))
        damaged[position] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        hit = (position - header) // width
        reader = MetricReader(path)
        assert reader.poll() == 7
        assert list(reader.rows()) == sound[:hit] + sound[hit + 1 :]
        assert reader.damaged == (1 if hit < 7 else 0), "the last row may be one that is just being written"


def test_a_damaged_row_in_the_middle_is_left_where_it_is_when_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 3)
    data = bytearray(path.read_bytes())
    data[data.index(b"\n") + 30] ^= 1
    path.write_bytes(bytes(data))
    writer = MetricWriter(path, SITES, COLUMNS, keep_through=20)
    assert writer.damaged == 1
    writer.append(30, SITES[0], {"loss": 1.0})
    assert [(step, site) for step, site, _ in read(path)] == [(10, SITES[1]), (20, SITES[0]), (20, SITES[1]), (30, SITES[0])]  # fmt: skip


def test_a_zero_filled_tail_is_no_rows_and_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 2)
    sound, size = read(path), path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(500))
    assert read(path) == sound
    MetricWriter(path, SITES, COLUMNS).close()
    assert path.stat().st_size == size


def test_a_damaged_header_is_refused_by_readers_and_put_right_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 2)
    sound = read(path)
    data = path.read_bytes()
    for position in range(data.index(b"\n") + 1):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        with pytest.raises(FormatError):
            read(path)
        MetricWriter(path, SITES, COLUMNS).close()
        assert read(path) == sound


def test_what_is_no_log_is_moved_aside_when_nothing_of_it_is_to_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(300))
    MetricWriter(path, SITES, COLUMNS, keep_through=0).append(1, SITES[0], {"loss": 1.0})
    assert len(read(path)) == 1
    (aside,) = tmp_path.glob("rows.damaged-*")
    assert aside.read_bytes() == bytes(300)


def test_a_log_that_was_cut_and_grew_again_between_two_looks_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 3)
    reader = MetricReader(path)
    reader.poll()
    writer = MetricWriter(path, SITES, COLUMNS, keep_through=20)
    for step in (30, 40):
        for site in SITES:
            writer.append(step, site, {"loss": 9.0})
    reader.poll()
    assert reader.series(SITES[0], "loss") == ([10, 20, 30, 40], [1 / 10, 1 / 20, 9.0, 9.0])


def test_a_log_of_the_first_version_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 2)
    header, _, rows = path.read_bytes().partition(b"\n")
    path.write_bytes(b"saetui-metrics 1 " + header.split(b" ", 3)[3] + b"\n" + rows)
    writer = MetricWriter(path, SITES, COLUMNS, keep_through=20)
    writer.append(30, SITES[0], {"loss": 1.0})
    assert len(read(path)) == 5


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1), (0, 0, 0)], ids=str)
def test_sites_may_come_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    path = tmp_path / "rows"
    writer = MetricWriter(path, SITES, COLUMNS)
    expected: dict[str, tuple[list[int], list[float]]] = {site: ([], []) for site in SITES}
    for step in range(1, 20):
        for number in order:
            writer.append(step, SITES[number], {"loss": step + number / 10})
            expected[SITES[number]][0].append(step)
            expected[SITES[number]][1].append(step + number / 10)
    reader = MetricReader(path)
    reader.poll()
    assert {site: reader.series(site, "loss") for site in SITES} == expected


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


def test_a_newer_saetui_that_measures_more_goes_on_with_an_older_ones_log(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 2)
    before = read(path)
    writer = MetricWriter(path, SITES, ("r2", "fvu", "loss", "l0"), keep_through=20)
    assert read(path) == before
    writer.append(30, SITES[0], {"r2": 0.5, "loss": 1.0})
    assert read(path)[-1] == (30, SITES[0], {"r2": 0.5, "loss": 1.0})


def test_rows_come_by_step_and_then_by_site(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, 2)
    reader = MetricReader(path)
    reader.poll()
    assert [(step, site) for step, site, _ in reader.rows()] == [(s, site) for s in (10, 20) for site in SITES]
