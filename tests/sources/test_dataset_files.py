"""Which files of a directory are a dataset, and which of them a split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saetui.errors import DatasetError
from saetui.sources.dataset_files import BUNDLED_DATASET, find_dataset_files


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's cache on this machine."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / ".hub"))
    return tmp_path / ".hub"


def found(source: Path | str, split: str = "train", snapshot: Path | None = None) -> list[str]:
    """The names of the files that are read, below their directory."""
    files = find_dataset_files(str(source), split).files
    root = snapshot or Path(source)
    return [str(file.path.relative_to(root)) if file.path != root else file.path.name for file in files]


def refusal(source: Path | str, split: str = "train") -> str:
    with pytest.raises(DatasetError) as caught:
        found(source, split)
    assert caught.value.suggestion
    return str(caught.value)


def make(directory: Path, *names: str) -> Path:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return directory


LAYOUTS = {
    "a clone of a Hub repository": ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
    "the cache of datasets": ("wiki-train.arrow", "wiki-test.arrow"),
    "its cache in shards": ("wiki-train-00000-of-00002.arrow", "wiki-test-00000-of-00002.arrow"),
    "directories": ("train/0.jsonl", "test/0.jsonl"),
    "numbers behind the word": ("train0.jsonl.zst", "test0.jsonl.zst"),
    "words with dots": ("en.train.json.gz", "en.test.json.gz"),
    "plain text": ("train.txt", "test.txt"),
}


@pytest.mark.parametrize("downloaded", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_split_is_the_files_whose_names_say_it(layout: str, downloaded: bool, hub: Path, tmp_path: Path) -> None:
    train, test = LAYOUTS[layout]
    snapshot = hub / "datasets--someone--stories" / "snapshots" / "main"
    directory = make(snapshot if downloaded else tmp_path / "test-of-splits", train, test, "README.md")
    source = "someone/stories" if downloaded else directory
    assert found(source, "train", directory) == [train]
    assert found(source, "test", directory) == [test]
    assert "has no split 'validation'. It has train, test" in refusal(source, "validation")


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_validation_goes_by_several_names(name: str, tmp_path: Path) -> None:
    directory = make(tmp_path / "d", f"{name}-0.jsonl", "train-0.jsonl")
    assert found(directory, "validation") == [f"{name}-0.jsonl"]
    assert found(directory, name) == [f"{name}-0.jsonl"]


def test_a_split_of_ones_own_is_found_by_its_name(tmp_path: Path) -> None:
    assert found(make(tmp_path / "d", "smol-0.jsonl", "train-0.jsonl"), "smol") == ["smol-0.jsonl"]


def test_files_that_name_no_split_are_all_read_and_have_no_other(tmp_path: Path) -> None:
    directory = make(tmp_path / "train" / "d", "a.txt", "b/testing.txt", "contest.txt")
    assert found(directory) == ["a.txt", "b/testing.txt", "contest.txt"]
    assert "has no split 'test': the names of its files name none" in refusal(directory, "test")


def test_a_directory_of_other_splits_alone_is_not_trained_on(tmp_path: Path) -> None:
    directory = make(tmp_path / "d", "test-0.parquet", "validation-0.parquet")
    assert "has no split 'train'. It has validation, test" in refusal(directory)


def test_a_named_file_and_the_bundled_text_have_no_splits(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "test.jsonl")
    assert found(tmp_path / "a.txt") == ["a.txt"]
    assert "has no split 'test'" in refusal(tmp_path / "a.txt", "test")
    assert found(tmp_path / "test.jsonl", "test") == ["test.jsonl"]
    assert "has no split 'test'" in refusal(BUNDLED_DATASET, "test")


def test_prose_and_code_belong_to_no_split(tmp_path: Path) -> None:
    directory = make(tmp_path / "d", "code.py", "test_code.py", "dev-notes.md")
    assert found(directory) == ["code.py", "dev-notes.md", "test_code.py"]


def test_what_is_written_about_rows_beside_them_is_not_read(tmp_path: Path) -> None:
    assert found(make(tmp_path / "rows", "a.jsonl", "notes.md", "make.py", "b.txt")) == ["a.jsonl", "b.txt"]
    assert found(make(tmp_path / "code", "a.py", "b.md", "README.md", "c.txt")) == ["a.py", "b.md", "c.txt"]
    assert found(make(tmp_path / "card", "README.md")) == ["README.md"]


def test_hidden_files_and_directories_are_not_documents(tmp_path: Path) -> None:
    directory = make(tmp_path / ".hidden" / "d", "a.txt", ".b.txt", ".ipynb_checkpoints/a.txt", "c/.git/d.txt")
    assert found(directory) == ["a.txt"]


def test_a_file_is_read_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    directory = make(tmp_path / "d", "m.txt", "z/n.txt")
    (directory / "a.txt").symlink_to(directory / "m.txt")
    (directory / "b.txt").hardlink_to(directory / "z" / "n.txt")
    assert found(directory) == ["b.txt", "m.txt"]
    make(tmp_path, "outside.txt")
    for name in ("x.txt", "y.txt"):
        (directory / name).symlink_to(tmp_path / "outside.txt")
    assert found(directory) == ["b.txt", "m.txt", "x.txt"]


def test_a_link_that_leads_nowhere_is_refused_where_it_would_be_read(tmp_path: Path) -> None:
    directory = make(tmp_path / "d", "train-0.jsonl")
    (directory / "test-0.jsonl").symlink_to(tmp_path / "blobs" / "missing")
    (directory / "picture.png").symlink_to(tmp_path / "blobs" / "missing")
    assert found(directory) == ["train-0.jsonl"]
    assert "test-0.jsonl is a link to a file that is not there" in refusal(directory, "test")


def saved(directory: Path, **state: object) -> Path:
    make(directory, "data-00000-of-00001.arrow")
    (directory / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]} | state)
    )
    return directory


def test_a_saved_dataset_has_the_splits_that_it_says(tmp_path: Path) -> None:
    saved(tmp_path / "d" / "validation")
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["validation"]}')
    assert found(tmp_path / "d", "validation") == ["validation/data-00000-of-00001.arrow"]
    assert "It has validation" in refusal(tmp_path / "d")


def test_whoever_names_one_saved_split_has_chosen_it(tmp_path: Path) -> None:
    directory = saved(tmp_path / "d", _split="validation")
    assert found(directory) == found(directory, "validation") == ["data-00000-of-00001.arrow"]
    assert "It has validation" in refusal(directory, "test")
    assert "has no split 'test'" in refusal(saved(tmp_path / "e"), "test")


def test_a_missing_dataset_is_refused_with_the_way_to_fetch_it_if_it_may_be_on_the_hub(tmp_path: Path) -> None:
    assert "saetui datasets --download someone/poems" in refusal("someone/poems")
    for name in ("texts/poems.md", "texts/poems.jsonl.zst", str(tmp_path / "poems")):
        assert "--download" not in refusal(name)
