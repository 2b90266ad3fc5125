"""Parquet files, and datasets that Hugging Face's library saved or downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from saetui.activations.sources import find_files
from saetui.activations.text import Piece, read_pieces
from saetui.activations.tokens import TokenDataset, prepare_tokens
from saetui.errors import DatasetError

pyarrow: Any = pytest.importorskip("pyarrow")
parquet: ModuleType = pytest.importorskip("pyarrow.parquet")

LINES = [f"the cat {number} jumps over the river" for number in range(40)]
COLUMNS: dict[str, list[Any]] = {"id": list(range(40)), "text": LINES}


class Preparer:
    def __init__(self, tokenizer: PreTrainedTokenizerFast, cache: Path) -> None:
        self._tokenizer, self._cache = tokenizer, cache

    def __call__(self, source: Path | str, split: str = "train", text_field: str = "text") -> TokenDataset:
        return prepare_tokens(
            str(source),
            self._tokenizer,
            context_length=8,
            cache_directory=self._cache,
            split=split,
            text_field=text_field,
        )

    def refused(self, source: Path | str, split: str = "train", text_field: str = "text") -> str:
        with pytest.raises(DatasetError) as caught:
            self(source, split, text_field)
        return str(caught.value)


@pytest.fixture
def prepare(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Preparer:
    return Preparer(tokenizer, tmp_path / "cache")


def write_parquet(path: Path, columns: dict[str, list[Any]] = COLUMNS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)
    return path


def save_to_disk(directory: Path, columns: dict[str, list[Any]] = COLUMNS, files: int = 2) -> Path:
    """What datasets.Dataset.save_to_disk leaves, in that library's layout."""
    directory.mkdir(parents=True)
    table = pyarrow.table(columns)
    names = [f"data-{number:05}-of-{files:05}.arrow" for number in range(files)]
    size = -(-table.num_rows // files)
    for number, name in enumerate(names):
        with pyarrow.ipc.new_stream(directory / name, table.schema) as out:
            out.write_table(table.slice(number * size, size))
    (directory / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (directory / "dataset_info.json").write_text("{}")
    return directory


def test_each_row_of_a_parquet_file_is_a_document(prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write_parquet(tmp_path / "a.parquet"))
    assert (data.documents, data.bad_rows) == (40, 0)


def test_rows_without_text_are_counted(prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write_parquet(tmp_path / "a.parquet", {"text": [*LINES, None, "", "  "]}))
    assert (data.documents, data.bad_rows) == (40, 3)


def test_text_that_is_not_utf_8_is_a_bad_row(prepare: Preparer, tmp_path: Path) -> None:
    half = pyarrow.array([*(line.encode() for line in LINES), b"abc \xed\xa0\x80 def"])
    data = prepare(write_parquet(tmp_path / "a.parquet", {"text": half.cast(pyarrow.string(), safe=False)}))
    assert (data.documents, data.bad_rows) == (40, 1)
    assert "row 41: bytes, not UTF-8 text" in str(data.left_out)


def test_long_rows_come_a_few_at_a_time_and_in_pieces(prepare: Preparer, tmp_path: Path) -> None:
    long = "the cat jumps over the river " * 100_000
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [f"{number} {long}" for number in range(40)]})
    parquet.write_table(table, path, use_dictionary=False, write_batch_size=1)
    del table
    (file,) = find_files(str(path))
    before, most, documents = pyarrow.total_allocated_bytes(), 0, 0
    for piece in read_pieces(file, "text"):
        assert isinstance(piece, Piece) and len(piece.text) < 2**21
        documents += piece.ends_document
        most = max(most, pyarrow.total_allocated_bytes() - before)
    assert documents == 40
    assert most < 60 * 2**20, f"{most} of 111 MiB"


def test_the_rows_of_a_saved_dataset_come_in_its_own_order(prepare: Preparer, tmp_path: Path) -> None:
    data, same = prepare(save_to_disk(tmp_path / "saved")), prepare(write_parquet(tmp_path / "a.parquet"))
    assert data.documents == 40
    assert data.manifest.checksum == same.manifest.checksum


def test_a_split_is_chosen(prepare: Preparer, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    save_to_disk(saved / "train")
    save_to_disk(saved / "test", {"text": LINES[:10]})
    (saved / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert (prepare(saved).documents, prepare(saved, "test").documents) == (40, 10)
    assert "It has train, test" in prepare.refused(saved, "validation")


def test_a_dataset_from_the_hub_is_read_from_its_cache(
    prepare: Preparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "hub" / "datasets--someone--stories"
    write_parquet(repository / "snapshots" / "abc" / "data" / "train-00000-of-00001.parquet")
    write_parquet(repository / "snapshots" / "abc" / "data" / "test-00000-of-00001.parquet", {"text": LINES[:10]})
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert prepare("someone/stories").documents == 40
    assert prepare("someone/stories", "test").documents == 10
    assert "It has train, test" in prepare.refused("someone/stories", "validation")
    assert "saetui datasets --download someone/poems" in prepare.refused("someone/poems")


def test_a_column_that_is_not_there_is_refused_with_those_that_are(prepare: Preparer, tmp_path: Path) -> None:
    for source in (write_parquet(tmp_path / "a.parquet"), save_to_disk(tmp_path / "saved")):
        message = prepare.refused(source, text_field="body")
        assert "no field 'body'" in message
        assert "id, text" in message


def test_damage_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert "a.parquet is damaged" in prepare.refused(path)
    saved = save_to_disk(tmp_path / "saved")
    arrow = saved / "data-00000-of-00002.arrow"
    arrow.write_bytes(arrow.read_bytes()[:-200])
    assert "damaged" in prepare.refused(saved)
    arrow.unlink()
    assert "lacks its file data-00000-of-00002.arrow" in prepare.refused(saved)
    (saved / "state.json").write_text("{")
    assert "Save it again" in prepare.refused(saved)
