"""The text column of parquet and arrow files, batch by batch; what reads them comes with the extra `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from saetui.activations.sources import FileKind, SourceFile, UnusableFile
from saetui.errors import DatasetError

__all__ = ["read_column"]

_ROWS = 1024
_BATCH_BYTES = 2**24
_READ_BYTES = 2**20


def read_column(file: SourceFile, field: str) -> Iterator[object]:
    """Reads the values of one column; text that is not UTF-8 comes as its bytes.

    Raises:
        UnusableFile: the file is damaged, or it has no such column.
        DatasetError: the extra is not installed.
    """
    arrow = _module("pyarrow")
    try:
        columns = _parquet(file, field) if file.kind is FileKind.PARQUET else _arrow(arrow, file, field)
        for column in columns:
            for value in column:
                yield _in_python(value)
    except (arrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnusableFile(f"{file.path} is damaged: {reason}.", "Check that it was copied whole.") from error


def _in_python(value: Any) -> object:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return value.as_buffer().to_pybytes()


def _parquet(file: SourceFile, field: str) -> Iterator[Any]:
    with _module("pyarrow.parquet").ParquetFile(file.path, buffer_size=_READ_BYTES) as opened:
        _refuse_without(file, field, opened.schema_arrow.names)
        groups = [opened.metadata.row_group(number) for number in range(opened.metadata.num_row_groups)]
        # So that long texts do not come by the thousand; the other columns make it an upper bound.
        row_bytes = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
        rows = max(1, min(_ROWS, _BATCH_BYTES // max(1, row_bytes)))
        for batch in opened.iter_batches(batch_size=rows, columns=[field]):
            yield batch.column(0)


def _arrow(arrow: ModuleType, file: SourceFile, field: str) -> Iterator[Any]:
    with arrow.memory_map(str(file.path)) as mapped, arrow.ipc.open_stream(mapped) as stream:
        _refuse_without(file, field, stream.schema.names)
        for batch in stream:
            yield batch.column(field)


def _refuse_without(file: SourceFile, field: str, names: list[str]) -> None:
    if field not in names:
        raise UnusableFile(
            f"The rows of {file.path} have no field {field!r}; they have {', '.join(names[:20])}.",
            "Name the field that holds the text as text_field.",
        )


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise DatasetError(
            "Parquet files and saved datasets are read with pyarrow, which is not installed.",
            "Install the extra: pip install 'saetui[datasets]'.",
        ) from error
