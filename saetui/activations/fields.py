"""Which field of a row holds its document: the one that is asked for or, without the default one, a field that trainers use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from saetui.activations.chats import as_messages
from saetui.formats.paths import escaped

DEFAULT = "text"
"""The field that is read when the user names none."""
TOKENS = ("input_ids", "tokens")
"""Fields of rows that are tokenised already: Hugging Face's name, and SAELens's."""
CHATS = ("messages", "conversations")
"""Fields of conversations: the chat templates' name, and ShareGPT's."""
_FIELDS = 20
"""The most fields that a message names."""


def find_field(row: Mapping[str, object], field: str) -> tuple[str, object] | None:
    """The name and the value of the field with the document. None where the row has none.

    Args:
        row: a row.
        field: its name, or a path of names with dots between them (`meta.text`). A row without a field of the default name
            gives its tokens or its conversation instead.
    """
    if field in row:
        return field, row[field]
    inside: object = row
    for name in field.split("."):
        inside = inside.get(name, _Missing) if isinstance(inside, dict) else _Missing
    if inside is not _Missing:
        return field, inside
    if field != DEFAULT:
        return None
    for name in TOKENS:
        if name in row and holds_tokens(row[name]):
            return name, row[name]
    return next(((name, row[name]) for name in CHATS if as_messages(row.get(name)) is not None), None)


class _Missing:
    """Stands for a missing field, because None is a value."""


def holds_tokens(value: object) -> bool:
    """Whether a value is a row of token ids."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind in "iu" and len(value) > 0
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


def field_names(row: Mapping[str, object]) -> list[str]:
    """The names of a row's fields and of the fields inside them, cut and escaped for a message."""
    return [escaped(name[:50]) for name in islice(_names(row), _FIELDS)]


def _names(row: Mapping[str, object]) -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{inside}" for inside in value)
        else:
            yield name
