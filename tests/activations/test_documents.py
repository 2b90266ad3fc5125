"""What is read as text, and what is refused or left out."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import pytest

from saetui import bundled
from saetui.activations import text_rows
from saetui.activations.chunks import Chunk
from saetui.activations.documents import Reading, read_chunks
from saetui.errors import DatasetError
from saetui.sources.dataset_files import find_dataset_files
from tests.activations.preparing import CONTENTS, LINES, Preparer, csv_text, jsonl, rows, write
from tests.unreadable import close


@pytest.mark.parametrize("suffix", CONTENTS)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_each_row_of_a_structured_file_is_a_document(
    suffix: str, packed: str, prepare: Preparer, tmp_path: Path
) -> None:
    data = prepare(write(tmp_path / f"data{suffix}{packed}", CONTENTS[suffix]))
    assert (data.documents, data.bad_rows) == (40, 0)
    assert prepare.text(data).startswith(LINES[0] + LINES[1])


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "A.TXT", "A.TXT.GZ"])
def test_a_file_of_plain_text_is_one_document(name: str, prepare: Preparer, tmp_path: Path) -> None:
    text = "\n".join(LINES)
    data = prepare(write(tmp_path / name, text))
    assert data.documents == 1
    assert text.startswith(prepare.text(data))
    assert len(prepare.text(data)) > len(text) - 50


def test_a_directory_is_read_with_all_below_it_in_the_order_of_names(prepare: Preparer, tmp_path: Path) -> None:
    write(tmp_path / "text" / "b" / "c.txt", "second " * 20)
    write(tmp_path / "text" / "a.txt", "first " * 20)
    write(tmp_path / "text" / "z.jsonl", json.dumps({"text": "third " * 20}))
    write(tmp_path / "text" / "notes.md", "not read")
    data = prepare(tmp_path / "text")
    assert data.documents == 3
    text = prepare.text(data)
    assert text.index("first") < text.index("second") < text.index("third")
    assert "not read" not in text


def test_a_large_file_of_text_is_one_document_in_chunks(prepare: Preparer, tmp_path: Path) -> None:
    text = "\n".join(f"line {number} with ünïcödé — text" for number in range(30_000)) + "\n"
    data = prepare(write(tmp_path / "large.txt", text))
    assert data.documents == 1
    assert text.startswith(prepare.text(data))
    assert data.manifest.tokens - data.contexts * 7 < 8


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".json", ".csv"])
def test_a_long_row_is_one_document_in_chunks(suffix: str, tmp_path: Path) -> None:
    long = " ".join(f"word {number} with ünïcödé — text" for number in range(100_000))
    content = {
        ".txt": long,
        ".jsonl": "\n".join(json.dumps({"text": text}) for text in [long, *LINES]),
        ".json": json.dumps([{"text": text} for text in [long, *LINES]]),
        ".csv": "text\n" + "".join(f'"{text}"\n' for text in [long, *LINES]),
    }
    (file,) = find_dataset_files(str(write(tmp_path / f"data{suffix}", content[suffix]))).files
    chunks = [chunk for chunk in read_chunks(file, Reading()) if isinstance(chunk, Chunk)]
    last = next(number for number, chunk in enumerate(chunks) if chunk.ends_document)
    assert "".join(chunk.text for chunk in chunks[: last + 1]) == long
    assert max(len(chunk.text) for chunk in chunks) < 2**21
    assert all(chunk.text.startswith(" ") for chunk in chunks[1 : last + 1]), "cut between words"
    assert [chunk.text for chunk in chunks[last + 1 :]] == (LINES if suffix != ".txt" else [])


def test_a_line_longer_than_memory_is_a_bad_row(
    prepare: Preparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_rows, "_LONGEST_ROW", 1000)
    fits = json.dumps({"text": "a" * 1000})[: -3 - 12] + '"}'
    content = f"{jsonl()}\n{json.dumps({'text': 'long ' * 5000})}\n{fits}\n{jsonl()}"
    data = prepare(write(tmp_path / "data.jsonl", content))
    assert (data.documents, data.bad_rows) == (81, 1)
    assert "line 41: longer than 1,000 bytes" in str(data.left_out)


def test_bad_rows_are_counted_and_not_fatal(prepare: Preparer, tmp_path: Path) -> None:
    bad = ["{broken", "[1, 2]", '{"text": 5}', '{"other": "x"}', "", '{"text": null}']
    data = prepare(write(tmp_path / "data.jsonl", jsonl() + "\n" + "\n".join(bad)))
    assert (data.documents, data.bad_rows) == (40, 5)
    data = prepare(write(tmp_path / "data.csv", csv_text() + "1,2,3\n7\n"))
    assert (data.documents, data.bad_rows) == (40, 2)
    data = prepare(write(tmp_path / "data.json", json.dumps([*rows(), 7, {"other": 1}, "text alone is a row too"])))
    assert (data.documents, data.bad_rows) == (41, 2)


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_half_a_character_is_a_bad_row(suffix: str, prepare: Preparer, tmp_path: Path) -> None:
    half, whole = {"text": "abc \ud800 def"}, {"text": "abc \U0001f600 def"}
    content = json.dumps([*rows(), half, whole])
    if suffix == ".jsonl":
        content = "\n".join(json.dumps(row) for row in [*rows(), half, whole])
    data = prepare(write(tmp_path / f"data{suffix}", content))
    assert (data.documents, data.bad_rows) == (41, 1)
    assert "41: a surrogate without its other half" in str(data.left_out)


def test_the_first_bad_rows_are_told_with_file_place_and_reason(prepare: Preparer, tmp_path: Path) -> None:
    write(tmp_path / "text" / "a.jsonl", "{broken\n\n" + jsonl() + '\n{"text": 5}\n')
    write(tmp_path / "text" / "b.csv", csv_text() + "1,2,3\n")
    made, found = prepare(tmp_path / "text"), prepare(tmp_path / "text")
    assert made.left_out == (
        f"Left out of {tmp_path}/text: 3 bad rows ({tmp_path}/text/a.jsonl, line 1: not JSON; "
        f"{tmp_path}/text/a.jsonl, line 43: no text in field 'text'; "
        f"{tmp_path}/text/b.csv, line 42: 3 fields, not 2)."
    )
    assert found.cached and found.manifest == made.manifest
    write(tmp_path / "text" / "b.csv", csv_text() + "1,2,3\n" * 9)
    assert str(prepare(tmp_path / "text").left_out).endswith("; and 8 more).")
    assert prepare(write(tmp_path / "good.jsonl", jsonl())).left_out is None
    one = prepare(write(tmp_path / "one.jsonl", jsonl() + "\nbroken"))
    assert "1 bad row (" in str(one.left_out)


def test_a_reason_is_short_whatever_the_file_is_called(prepare: Preparer, tmp_path: Path) -> None:
    directory = tmp_path / "a" / os.fsdecode(b"\xff\n") / ("b" * 200)
    data = prepare(write(directory / ("c" * 100 + ".jsonl"), jsonl() + "\nbroken"))
    (reason,) = data.manifest.bad_row_reasons
    assert len(reason) <= 401
    assert reason.isprintable()
    assert reason.endswith("ccc.jsonl, line 41: not JSON")


@pytest.mark.parametrize("column", [0, 1])
def test_a_quote_that_swallows_the_rest_of_a_csv_file_is_refused(
    column: int, prepare: Preparer, tmp_path: Path
) -> None:
    broken = ['41,"the cat\n', '"41,the cat\n'][column]
    path = write(tmp_path / "data.csv", csv_text() + broken + "42,the dog\n" * 1000)
    assert "data.csv cannot be read: the row that begins in line 42 opens a quote" in prepare.refused(path)


def test_a_row_of_csv_does_not_grow_without_end(
    prepare: Preparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_rows, "_LONGEST_CSV_ROW", 2000)
    path = write(tmp_path / "data.csv", csv_text() + '41,"the cat\n' + "42,the dog\n" * 1000 + '43,"the end"\n')
    message = prepare.refused(path)
    assert "data.csv cannot be read: the row that begins in line 42 is longer than 2,000 characters" in message
    assert "as if a quote" in prepare.refused(write(tmp_path / "line.csv", csv_text() + "a" * 3000))
    several = csv_text() + "".join(f'{number},"the ""cat""\n\njumps"\n' for number in range(1000))
    assert prepare(write(tmp_path / "good.csv", several)).documents == 1040


def test_a_bad_element_of_an_array_is_a_bad_row(prepare: Preparer, tmp_path: Path) -> None:
    bad = [7, None, [1], {"id": 1}, {"text": None}, {"text": ["a"]}, {"text": " "}]
    data = prepare(write(tmp_path / "data.json", json.dumps([*bad, *rows(), *bad])))
    assert (data.documents, data.bad_rows) == (40, 14)
    assert "element 1: no text in field 'text'" in str(data.left_out)
    data = prepare(write(tmp_path / "data.json", f"[{'7' * 5000}, {json.dumps(rows())[1:]}"))
    assert (data.documents, data.bad_rows) == (40, 1)


def test_the_names_of_fields_can_be_written_down(prepare: Preparer, tmp_path: Path) -> None:
    message = prepare.refused(write(tmp_path / "data.jsonl", json.dumps({"\ud800": 1, "x" * 9999: 2})))
    assert "they have \\ud800, xxx" in message
    assert len(message.encode()) < 500


def test_a_file_is_not_searched_to_its_end_for_a_row_with_text(prepare: Preparer, tmp_path: Path) -> None:
    message = prepare.refused(write(tmp_path / "data.jsonl", "7\n" * 20_000 + jsonl()))
    assert "None of the first 10,000 rows of" in message
    message = prepare.refused(write(tmp_path / "other.jsonl", '{"body": "x"}\n' * 20_000 + jsonl()))
    assert "no field 'text'; they have body" in message


def test_another_field_can_hold_the_text(prepare: Preparer, tmp_path: Path) -> None:
    assert prepare(write(tmp_path / "data.csv", csv_text("body")), text_field="body").documents == 40


@pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.csv"])
def test_a_field_that_is_not_there_is_refused_with_those_that_are(name: str, prepare: Preparer, tmp_path: Path) -> None:
    content = {"data.jsonl": jsonl("body"), "data.json": json.dumps(rows("body")), "data.csv": csv_text("body")}
    message = prepare.refused(write(tmp_path / name, content[name]))
    assert "no field 'text'" in message
    assert "id, body" in message


def test_a_missing_dataset_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    assert "There is no dataset" in prepare.refused(tmp_path / "nowhere.txt")
    assert "no bundled dataset" in prepare.refused("bundled:poems")


def test_an_empty_dataset_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is empty" in prepare.refused(tmp_path / "empty")
    for name in ("a.txt", "a.jsonl", "a.json", "a.csv", "a.txt.gz"):
        assert "no usable text" in prepare.refused(write(tmp_path / name, ""))


def test_rows_that_are_all_bad_are_refused_with_their_number(prepare: Preparer, tmp_path: Path) -> None:
    message = prepare.refused(write(tmp_path / "a.jsonl", "x\ny\nz"))
    assert "no usable text: 3 bad rows (" in message
    assert "a.jsonl, line 1: not JSON" in message


UNUSABLE = {
    "latin.txt": ("größer\n" * 100_000).encode("latin-1"),
    "binary.jsonl": bytes(range(256)) * 100,
    "settings.json": b'{"a": 1}',
    "other.jsonl": jsonl("body").encode(),
    "damaged.json": json.dumps(rows())[:-30].encode(),
    "quote.csv": b'id,text\n1,"the cat\n2,the dog\n',
    "short.txt.gz": gzip.compress(jsonl().encode() * 100)[:-40],
    "none.jsonl.gz": b"not compressed",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_file_is_refused_when_it_is_named_and_left_out_of_a_directory(
    name: str, prepare: Preparer, tmp_path: Path
) -> None:
    bad = tmp_path / "text" / name
    write(tmp_path / "text" / "z.txt", "\n".join(LINES))
    bad.write_bytes(UNUSABLE[name])
    assert name in prepare.refused(bad)
    data = prepare(tmp_path / "text")
    assert data.bad_rows == 1
    assert name in str(data.left_out)
    assert LINES[20] in prepare.text(data)
    (tmp_path / "text" / "z.txt").unlink()
    if data.documents == 1:
        message = prepare.refused(tmp_path / "text")
        assert "no usable text: 1 bad row (" in message
        assert name in message


def test_what_was_read_of_a_damaged_file_stays_apart_from_the_next(prepare: Preparer, tmp_path: Path) -> None:
    half = "\n".join(LINES * 1000).encode() + b"\0"
    write(tmp_path / "text" / "a.txt", "").write_bytes(half)
    write(tmp_path / "text" / "b.txt", "\n".join(LINES))
    data = prepare(tmp_path / "text")
    assert (data.documents, data.bad_rows) == (2, 1)
    alone = prepare(tmp_path / "text" / "b.txt")
    assert alone.documents == 1
    (tmp_path / "text" / "b.txt").unlink()
    assert prepare(tmp_path / "text").documents == 1
    assert "a.txt" in prepare.refused(tmp_path / "text" / "a.txt")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv"])
def test_a_binary_file_is_refused_by_its_name(name: str, prepare: Preparer, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(range(256)) * 100)
    message = prepare.refused(path)
    assert name in message
    assert "is binary, not text" in message


def test_a_directory_that_cannot_be_read_is_refused_by_its_name(
    prepare: Preparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "text" / "a.txt", "fine " * 100)
    closed = write(tmp_path / "text" / "closed" / "b.txt", "fine " * 100).parent
    close(closed, monkeypatch)
    message = prepare.refused(tmp_path / "text")
    assert f"{closed} in the dataset {tmp_path / 'text'} cannot be read: Permission denied" in message


def test_a_dataset_in_a_directory_that_may_not_be_entered_is_refused(
    prepare: Preparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_file(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch, pytest.raises(DatasetError, match="cannot be read: Permission denied"):
        patch.setattr(Path, "is_file", is_file)
        prepare(tmp_path)


def test_a_file_of_another_kind_is_refused_with_the_kinds(prepare: Preparer, tmp_path: Path) -> None:
    assert "no kind that saetui reads" in prepare.refused(write(tmp_path / "a.pdf", "x"))
    assert "none of its 1 files is of a kind that saetui reads" in prepare.refused(
        write(tmp_path / "dir" / "a.pdf", "x").parent
    )


def test_a_compressed_file_with_damage_inside_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt.gz", "".join(map(str, range(20_000))))
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)
    assert "a.txt.gz" in prepare.refused(path)


@pytest.mark.parametrize("suffix", [".txt.gz", ".jsonl.gz"])
def test_a_compressed_file_cut_short_is_refused(suffix: str, prepare: Preparer, tmp_path: Path) -> None:
    path = write(tmp_path / f"a{suffix}", jsonl())
    path.write_bytes(path.read_bytes()[:-40])
    assert path.name in prepare.refused(path)


def test_a_damaged_json_file_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps(rows())[:-30])
    assert "is not JSON from" in prepare.refused(path)


def test_the_standard_library_is_a_dataset(prepare: Preparer, monkeypatch: pytest.MonkeyPatch) -> None:
    some = bundled.stdlib_files()[:5]
    monkeypatch.setattr(bundled, "stdlib_files", lambda: some)
    data = prepare("bundled:stdlib", context_length=32)
    assert data.documents == sum(path.stat().st_size > 0 for path in some)
    assert data.bad_rows == 0
    assert some[0].read_text(encoding="utf-8")[:50] in prepare.text(data)


def test_rows_of_tokens_are_the_contexts_that_their_text_is(prepare: Preparer, tmp_path: Path) -> None:
    text = prepare(write(tmp_path / "text.jsonl", jsonl()))
    ids: list[list[int]] = [prepare.tokenizer.encode(line, add_special_tokens=False) for line in LINES]
    for field in ("input_ids", "tokens", "text", "ids"):
        # Bare, with a beginning and an end, and padded.
        for number, before, behind in ((0, [], []), (1, [0], [0]), (2, [], [0, 0, 0])):
            lines = "\n".join(json.dumps({field: [*before, *row, *behind]}) for row in ids)
            source = write(tmp_path / f"{field}{number}.jsonl", lines)
            data = prepare(source, text_field="ids" if field == "ids" else "text")
            assert data.manifest.checksum == text.manifest.checksum
            assert data.documents == 40
            assert data.notes == (
                f"The rows' field {field!r} is taken as the model's own tokens: nothing was tokenised.",
            )
    assert text.notes == ()


@pytest.mark.parametrize("token", [-1, 310, 10**30])
def test_tokens_of_another_tokenizer_are_refused_with_row_and_value(
    token: int, prepare: Preparer, tmp_path: Path
) -> None:
    rows = [{"input_ids": [5, 6, 7]}] * 20 + [{"input_ids": [5, token, 7]}]
    path = write(tmp_path / "text" / "a.jsonl", "\n".join(map(json.dumps, rows)))
    for source in (path, path.parent):
        message = prepare.refused(source)
        assert (
            f"a.jsonl, line 21: the token {token} in field 'input_ids' is none of the model's tokenizer, which has 0 to 309"
            in message
        )


def test_a_row_of_tokens_of_which_none_is_text_is_no_document(prepare: Preparer, tmp_path: Path) -> None:
    rows = [{"input_ids": [0, 0, 0]}, {"input_ids": [0] + [5] * 40}] * 2
    assert prepare(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))).documents == 2


def test_text_of_special_tokens_alone_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    rows = [{"text": "<|endoftext|>" * 40}] * 20
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert "consists of special tokens alone" in prepare.refused(path)


def test_text_that_is_special_where_it_is_held_out_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": " ".join(LINES[:2]) + "<|endoftext|>" * 400}))
    with pytest.raises(
        DatasetError, match="special tokens alone, at least in the part to train on or in the held-out part"
    ):
        prepare(path)


def test_nested_fields_are_named_by_their_path(prepare: Preparer, tmp_path: Path) -> None:
    nested = "\n".join(json.dumps({"meta": {"text": line, "source": "x"}}) for line in LINES)
    data = prepare(write(tmp_path / "a.jsonl", nested), text_field="meta.text")
    assert (data.documents, data.bad_rows) == (40, 0)
    assert "no field 'text'; they have meta.text, meta.source" in prepare.refused(tmp_path / "a.jsonl")


JSON_SHAPES = {
    "columns.json": json.dumps({"id": list(range(40)), "text": LINES}),
    "pandas.json": json.dumps({"text": {str(number): line for number, line in enumerate(LINES)}}),
    "array.jsonl": json.dumps(rows()),
    "indented.jsonl": json.dumps(rows(), indent=2),
    "objects.jsonl": "\n".join(json.dumps(row, indent=2) for row in rows()),
    "objects.json": "\n".join(json.dumps(row, indent=2) for row in rows()),
    "lines.json": jsonl(),
    "columns.jsonl": json.dumps({"text": LINES}, indent=2),
    "lines.ndjson": jsonl(),
    "marked.jsonl": "\ufeff" + jsonl() + "\n",
    "text.json": json.dumps(LINES),
}


@pytest.mark.parametrize("name", JSON_SHAPES)
def test_json_is_read_in_whatever_shape_it_comes(name: str, prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write(tmp_path / name, JSON_SHAPES[name]))
    assert (data.documents, data.bad_rows) == (40, 0)
    assert prepare.text(data).startswith(LINES[0] + LINES[1])


@pytest.mark.parametrize("first", ["{broken", "[1, 2]", "[broken", '{"text": "half', '{"text": "a",', "7", '"'])
def test_a_bad_first_line_does_not_make_lines_of_json_something_else(
    first: str, prepare: Preparer, tmp_path: Path
) -> None:
    data = prepare(write(tmp_path / "a.jsonl", f"{first}\n\n{jsonl()}"))
    assert (data.documents, data.bad_rows) == (40, 1)
    assert "line 1: " in str(data.left_out)


def test_tabs_separate_the_fields_of_tsv(prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(
        write(tmp_path / "a.tsv", "id\ttext\n" + "".join(f"{n}\t{line}, and\n" for n, line in enumerate(LINES)))
    )
    assert (data.documents, data.bad_rows) == (40, 0)
    assert prepare.text(data).startswith(f"{LINES[0]}, and")


LATIN = "größer".encode("latin-1")


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.jsonl", jsonl().encode() + b'\n{"text": "' + LATIN + b'"}\n', "line 41: byte 13 (0xf6) is not UTF-8"),
        (
            "a.json",
            json.dumps(rows())[:-1].encode() + b', {"text": "' + LATIN + b'"}]',
            "element 41: not UTF-8 (the byte 0xf6",
        ),
        ("a.csv", csv_text().encode() + b"41," + LATIN + b"\n", "line 42: not UTF-8 (the byte 0xf6"),
    ],
)
def test_a_byte_that_is_not_utf_8_is_a_bad_row_with_its_place(
    name: str, content: bytes, place: str, prepare: Preparer, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    data = prepare(tmp_path / name)
    assert (data.documents, data.bad_rows) == (40, 1)
    assert f"{tmp_path}/{name}, {place}" in str(data.left_out)


def test_a_replacement_character_in_a_text_is_text(prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write(tmp_path / "a.csv", csv_text() + "41,the \ufffd cat\n"))
    assert (data.documents, data.bad_rows) == (41, 0)


def test_only_the_text_of_a_row_must_be_utf_8(prepare: Preparer, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv_text().encode() + LATIN + b",the cat\n")
    assert prepare(tmp_path / "a.csv").documents == 41
