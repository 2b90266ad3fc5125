"""What a form learns of a dataset before anything is read whole."""

from __future__ import annotations

import errno
import gzip
import importlib.util
import os
from pathlib import Path

import pytest

from saetui.catalog.datasets import find_dataset, list_datasets
from saetui.errors import DatasetError
from saetui.sources.dataset_files import BUNDLED_DATASET
from tests.unreadable import close

TEXT = "the cat jumps over the river\n" * 100


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def download(hub: Path, reference: str, files: dict[str, str]) -> None:
    """What `hf download --repo-type dataset` leaves."""
    repository = hub / f"datasets--{reference.replace('/', '--')}"
    for name, content in files.items():
        path = repository / "snapshots" / "abc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")


def refusal(source: object, split: str = "train") -> str:
    with pytest.raises(DatasetError) as caught:
        find_dataset(str(source), 128, split)
    assert caught.value.suggestion
    return str(caught.value)


def test_a_downloaded_dataset_is_listed_and_looked_at_by_split(hub: Path) -> None:
    download(hub, "someone/stories", {"data/train.jsonl": TEXT, "data/test.jsonl": TEXT * 2, "README.md": "x"})
    download(hub, "someone/pictures", {"a.png": "x"})
    download(hub, "someone/tests", {"test.jsonl": TEXT})
    assert [info.source for info in list_datasets()] == [BUNDLED_DATASET, "someone/stories", "someone/tests"]
    found = find_dataset("someone/stories", 128)
    assert (found.files, found.size_bytes) == (1, len(TEXT))
    assert find_dataset("someone/stories", 128, "test").size_bytes == 2 * len(TEXT)


@pytest.mark.parametrize("name", ["a.md", "a.py", "a.ndjson", "a.tsv"])
def test_all_kinds_that_are_read_can_be_chosen(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TEXT)
    assert find_dataset(str(tmp_path / name), 128).description == f"a {Path(name).suffix} file"


def test_a_split_that_a_plain_directory_has_not_is_refused_before_a_training_begins(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}-00000-of-00001.jsonl").write_text(TEXT * (2 if split == "train" else 1))
    (tmp_path / ".hidden.jsonl").write_text(TEXT)
    assert find_dataset(str(tmp_path), 128, "test").size_bytes == len(TEXT)
    assert "has no split 'dev'. It has train, test" in refusal(tmp_path, "dev")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n", "is a Git LFS pointer"),
        (TEXT.encode("utf-16"), "is text in UTF-16"),
    ],
)
def test_what_only_looks_like_text_is_refused_by_its_name(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert words in refusal(tmp_path / "a.jsonl")


def test_what_is_not_downloaded_is_refused_with_the_way_to_get_it() -> None:
    assert "saetui datasets --download someone/stories" in refusal("someone/stories")


def test_a_saved_dataset_is_looked_at_by_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "saved" / split).mkdir(parents=True)
        (tmp_path / "saved" / split / "state.json").write_text(
            '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}'
        )
        (tmp_path / "saved" / split / "data-00000-of-00001.arrow").write_text(TEXT)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["test", "train"]}')
    assert "It has test, train" in refusal(tmp_path / "saved", "validation")
    if importlib.util.find_spec("pyarrow") is not None:
        assert find_dataset(str(tmp_path / "saved"), 128).files == 1


def test_columns_are_refused_where_nothing_can_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_text(TEXT)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "saetui[datasets]" in refusal(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["a.txt", "A.TXT", "a.txt.gz", "A.TXT.GZ", "a.Jsonl.Gz"])
def test_endings_are_known_in_small_and_large_letters(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if name.lower().endswith(".gz") else TEXT.encode())
    assert find_dataset(str(path), 128).files == 1
    assert find_dataset(str(tmp_path), 128).files == 1


@pytest.mark.parametrize(("name", "content"), [("a.txt", bytes(1000)), ("a.txt.gz", b"not compressed")])
def test_an_unusable_file_is_refused_unless_its_directory_has_others(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    bad = tmp_path / "text" / name
    bad.write_bytes(content)
    assert name in refusal(bad)
    assert name in refusal(tmp_path / "text")
    (tmp_path / "text" / "b.txt").write_text(TEXT)
    assert find_dataset(str(tmp_path / "text"), 128).files == 2


def test_a_directory_that_cannot_be_read_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "closed").mkdir()
    close(tmp_path / "closed", monkeypatch)
    assert f"{tmp_path}/closed in the dataset {tmp_path} cannot be read: Permission denied" in refusal(tmp_path)


def test_a_dataset_in_a_directory_that_may_not_be_entered_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_file(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "is_file", is_file)
    assert f"The dataset {tmp_path} cannot be read: Permission denied" in refusal(tmp_path)


def test_a_file_that_is_missing_is_not_sought_on_the_hub() -> None:
    with pytest.raises(DatasetError, match=r"There is no dataset texts/missing\.TXT") as refused:
        find_dataset("texts/missing.TXT", 32)
    assert "--download" not in str(refused.value.suggestion)
