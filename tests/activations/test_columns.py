"""Parquet files, and datasets that Hugging Face's library saved or downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from saetui.activations.chunks import Chunk
from saetui.activations.documents import Reading, read_chunks
from saetui.activations.token_dataset import TokenDataset
from saetui.activations.tokens import prepare_tokens
from saetui.errors import DatasetError
from saetui.sources.dataset_files import find_dataset_files

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


def test_long_rows_come_a_few_at_a_time_and_in_chunks(prepare: Preparer, tmp_path: Path) -> None:
    long = "the cat jumps over the river " * 100_000
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [f"{number} {long}" for number in range(40)]})
    parquet.write_table(table, path, use_dictionary=False, write_batch_size=1)
    del table
    (file,) = find_dataset_files(str(path)).files
    before, most, documents = pyarrow.total_allocated_bytes(), 0, 0
    for chunk in read_chunks(file, Reading()):
        assert isinstance(chunk, Chunk) and len(chunk.text) < 2**21
        documents += chunk.ends_document
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
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
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


def test_text_in_a_column_of_bytes_is_text(prepare: Preparer, tmp_path: Path) -> None:
    texts = [line.encode() for line in LINES]
    for kind in (pyarrow.binary(), pyarrow.large_binary()):
        data = prepare(write_parquet(tmp_path / "a.parquet", {"text": pyarrow.array([*texts, b"caf\xe9"], kind)}))
        assert (data.documents, data.bad_rows) == (40, 1)
        assert "row 41: bytes that are not UTF-8 (0xe9 at byte 4)" in str(data.left_out)


@pytest.mark.parametrize("name", ["a.arrow", "a.feather"])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_arrows_file_format_is_read(name: str, compression: str | None, prepare: Preparer, tmp_path: Path) -> None:
    table = pyarrow.table(COLUMNS)
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_file(tmp_path / name, table.schema, options=options) as out:
        out.write_table(table, max_chunksize=16)
    data, same = prepare(tmp_path / name), prepare(write_parquet(tmp_path / "a.parquet"))
    assert data.manifest.checksum == same.manifest.checksum
    assert "no field 'body'; they have id, text" in prepare.refused(tmp_path / name, text_field="body")
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-30])
    assert f"{name} is damaged" in prepare.refused(tmp_path / name)


def test_the_first_version_of_feather_is_refused_by_its_name(prepare: Preparer, tmp_path: Path) -> None:
    (tmp_path / "a.feather").write_bytes(b"FEA1" + bytes(100))
    assert "first version of Feather" in prepare.refused(tmp_path / "a.feather")


@pytest.mark.parametrize("field", ["input_ids", "tokens"])
def test_columns_of_tokens_are_taken_as_they_are(
    field: str, prepare: Preparer, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    ids = [tokenizer(line, add_special_tokens=False)["input_ids"] for line in LINES]
    same = prepare(write_parquet(tmp_path / "text.parquet"))
    for kind in (pyarrow.list_(pyarrow.int32()), pyarrow.large_list(pyarrow.int64())):
        path = write_parquet(tmp_path / f"{field}.parquet", {"id": COLUMNS["id"], field: pyarrow.array(ids, kind)})
        for name in ("text", field):
            data = prepare(path, text_field=name)
            assert data.manifest.checksum == same.manifest.checksum
            assert "taken as the model's own tokens" in data.notes[0]
    path = write_parquet(tmp_path / "other.parquet", {field: [*ids, [5, 99_999]]})
    assert "row 41: the token 99999" in prepare.refused(path)


def test_nested_columns_and_conversations_are_read(prepare: Preparer, tmp_path: Path) -> None:
    nested = write_parquet(tmp_path / "a.parquet", {"meta": [{"text": line, "id": 1} for line in LINES]})
    same = prepare(write_parquet(tmp_path / "text.parquet"))
    assert prepare(nested, text_field="meta.text").manifest.checksum == same.manifest.checksum
    assert "they have meta.text, meta.id" in prepare.refused(nested)
    chats = {"messages": [[{"role": "user", "content": line}] for line in LINES]}
    assert prepare(write_parquet(tmp_path / "c.parquet", chats)).manifest.checksum == same.manifest.checksum


def test_words_are_not_taken_for_tokens(prepare: Preparer, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"tokens": [line.split() for line in LINES]})
    assert "no field 'text'; they have tokens" in prepare.refused(path)
