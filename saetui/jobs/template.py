"""A template: a named training spec in which every field may be missing."""

from __future__ import annotations

from typing import Any

import msgspec

DESCRIPTION_LIMIT = 500


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template in the store.

    Attributes:
        spec: a training spec as JSON, any field missing; valid as far as it goes.
        builtin: comes with saetui and is read-only.
        missing: which of its model and dataset are not on this machine; filled when it is shown, never stored.
    """

    id: str
    name: str
    spec: dict[str, Any]
    created_at: str
    updated_at: str
    description: str = ""
    favorite: bool = False
    builtin: bool = False
    use_count: int = 0
    last_used_at: str | None = None
    missing: tuple[str, ...] = ()


class RefusedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of an imported file that did not come in, and why."""

    index: int
    name: str
    reason: str


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came in, and what did not."""

    imported: tuple[Template, ...]
    refused: tuple[RefusedEntry, ...]
