"""The rows of parquet and Arrow files, batch by batch, with the column of the text alone. pyarrow reads them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from saetui.activations.fields import CHATS, DEFAULT, TOKENS, field_names
from saetui.activations.text_rows import Row, Unreadable
from saetui.sources.text_files import FileKind, SourceFile, UnusableFile

_ROWS = 1024
_BATCH_BYTES = 2**24
_READ_BYTES = 2**20
_FILE_FORMAT = b"ARROW1"
"""The mark of Arrow's file format (Feather), which pandas, polars and R write. Its stream format has no mark."""
_OLD_FEATHER = b"FEA1"


def read_columns(file: SourceFile, field: str) -> Iterator[Row]:
    """Read the rows of a file: "row 7" and a dict with the column of the text.

    Args:
        file: the file.
        field: the field of the text; see fields.py.

    Raises:
        UnusableFile: the file is damaged, or has no such column.
    """
    arrow: Any = import_module("pyarrow")
    number = 0
    try:
        for name, column in _parquet(file, field) if file.kind is FileKind.PARQUET else _arrow(file, field):
            for value in column:
                number += 1
                yield f"row {number}", _row(arrow, name, value)
    except (arrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnusableFile(f"{file.path} is damaged: {reason}.", "Check that it was copied whole.") from error


def _row(arrow: Any, name: str, value: Any) -> object:
    if _is_tokens(arrow, value.type) and value.is_valid and len(value.values):
        # Python's own numbers would take many times as long.
        return {name: value.values.to_numpy(zero_copy_only=False)}
    try:
        return {name: value.as_py()}
    except UnicodeDecodeError:
        return Unreadable("bytes, not UTF-8 text")


def _parquet(file: SourceFile, field: str) -> Iterator[tuple[str, Any]]:
    parquet: Any = import_module("pyarrow.parquet")
    with parquet.ParquetFile(file.path, buffer_size=_READ_BYTES) as opened:
        name = _column(file, field, opened.schema_arrow)
        groups = [opened.metadata.row_group(number) for number in range(opened.metadata.num_row_groups)]
        # Fewer rows at a time where texts are long. The bytes of the other columns make this an upper bound.
        row_bytes = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
        rows = max(1, min(_ROWS, _BATCH_BYTES // max(1, row_bytes)))
        # Of a column with fields inside, only the field of the text is read.
        wanted = field if name == field.split(".")[0] else name
        for batch in opened.iter_batches(batch_size=rows, columns=[wanted]):
            yield name, batch.column(0)


def _arrow(file: SourceFile, field: str) -> Iterator[tuple[str, Any]]:
    arrow: Any = import_module("pyarrow")
    with file.path.open("rb") as stream:
        mark = stream.read(len(_FILE_FORMAT))
    if mark.startswith(_OLD_FEATHER):
        raise UnusableFile(
            f"{file.path} is in the first version of Feather, which Arrow no longer reads.",
            "Write it again as parquet.",
        )
    with arrow.memory_map(str(file.path)) as mapped:
        if mark == _FILE_FORMAT:
            with arrow.ipc.open_file(mapped) as opened:
                name = _column(file, field, opened.schema)
                for number in range(opened.num_record_batches):
                    yield name, opened.get_batch(number).column(name)
            return
        with arrow.ipc.open_stream(mapped) as stream:
            name = _column(file, field, stream.schema)
            for batch in stream:
                yield name, batch.column(name)


def _column(file: SourceFile, field: str, schema: Any) -> str:
    """The name of the column that holds the text, itself or in a field inside it.

    Raises:
        UnusableFile: there is none.
    """
    arrow: Any = import_module("pyarrow")
    if field in schema.names:
        return field
    outer = field.split(".")[0]
    if outer in schema.names and _has(schema.field(outer).type, field.split(".")[1:]):
        return outer
    if field == DEFAULT:
        for name in (*TOKENS, *CHATS):
            if name in schema.names and (name in CHATS or _is_tokens(arrow, schema.field(name).type)):
                return name
    names = {name: _fields(schema.field(name).type) for name in schema.names}
    raise UnusableFile(
        f"The rows of {file.path} have no field {field!r}; they have {', '.join(field_names(names))}.",
        "Name the field that holds the text as text_field.",
    )


def _has(kind: Any, path: list[str]) -> bool:
    return not path or (path[0] in _fields(kind) and _has(kind.field(path[0]).type, path[1:]))


def _fields(kind: Any) -> dict[str, object]:
    """The names of the fields inside a column, as keys."""
    arrow: Any = import_module("pyarrow")
    return {inner.name: None for inner in kind} if arrow.types.is_struct(kind) else {}


def _is_tokens(arrow: Any, kind: Any) -> bool:
    lists = (arrow.types.is_list, arrow.types.is_large_list, arrow.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in lists) and arrow.types.is_integer(kind.value_type)
