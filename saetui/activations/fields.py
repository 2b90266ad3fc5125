"""What of a row is its document: the field that is asked for, or where the default is not there, what trainers call it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from saetui.activations.chats import as_messages

__all__ = ["CHATS", "DEFAULT", "TOKENS", "field_names", "find_field", "holds_tokens"]

DEFAULT = "text"
"""The field that is read where none is asked for."""
TOKENS = ("input_ids", "tokens")
"""Fields of rows that are tokenised already: Hugging Face's name, and SAELens's."""
CHATS = ("messages", "conversations")
"""Fields of conversations: the chat templates' name, and ShareGPT's."""
_FIELDS = 20
"""So many are named where the one with the text is missing."""


def find_field(row: Mapping[str, object], field: str) -> tuple[str, object] | None:
    """The name and the value of the document's field; None where the row has none.

    Args:
        row: a row.
        field: its name, or a path of names with dots between them (`meta.text`). Where the row has no field of the default
            name, its tokens or its conversation are taken.
    """
    if field in row:
        return field, row[field]
    inside: object = row
    for name in field.split("."):
        inside = inside.get(name, _Nothing) if isinstance(inside, dict) else _Nothing
    if inside is not _Nothing:
        return field, inside
    if field != DEFAULT:
        return None
    for name in TOKENS:
        if name in row and holds_tokens(row[name]):
            return name, row[name]
    return next(((name, row[name]) for name in CHATS if as_messages(row.get(name)) is not None), None)


class _Nothing:
    """Stands for a field that is not there: None is a value."""


def holds_tokens(value: object) -> bool:
    """Whether a value is a row of token ids."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind in "iu" and len(value) > 0
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


def field_names(row: Mapping[str, object]) -> list[str]:
    """The names of a row's fields, and of those inside them, in words that can be written down."""
    return [_printable(name) for name in islice(_names(row), _FIELDS)]


def _names(row: Mapping[str, object]) -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{inside}" for inside in value)
        else:
            yield name


def _printable(name: str) -> str:
    return name[:50].encode(errors="backslashreplace").decode()
