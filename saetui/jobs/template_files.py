"""Files of templates: what `saetui templates export` writes and `import` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from saetui.display.figures import size
from saetui.errors import Conflict, FormatError, SaetuiError
from saetui.formats.durable import write_durably
from saetui.jobs.templates import Template, check_template
from saetui.spec.editing import FILE_LIMIT, read_text

FORMAT = "saetui-templates"
FORMAT_VERSION = 1

MOST_ENTRIES = 2000
"""The most templates in a file."""

EXPORT_NAME = "saetui-templates.json"
"""The name that is offered for an export."""

_WAY_OUT = "Give a file that `saetui templates export` wrote."


class TemplateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A template in a file, without what belongs to one store."""

    name: str
    spec: dict[str, Any]
    description: str = ""
    favorite: bool = False


class RefusedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a file that was not imported, and why."""

    index: int
    name: str
    reason: str


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """The templates that were imported, and the entries that were not."""

    imported: tuple[Template, ...]
    refused: tuple[RefusedEntry, ...]


def read_template_file(path: Path) -> str:
    """The text of a template file.

    Raises:
        InvalidInput: the file cannot be read, is too long, or is not text.
    """
    return read_text(path, _WAY_OUT, "give a file that `saetui templates export` wrote")


def write_template_file(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a template file, whole or not at all.

    Raises:
        Conflict: something has this name already, and `overwrite` is not set.
        SaetuiError: the file cannot be written there.
    """
    if path.exists() and not overwrite:
        raise Conflict(f"{path} exists already.", "Choose another name; saetui overwrites nothing.")
    try:
        write_durably(path, text.encode())
    except OSError as error:
        raise SaetuiError(
            f"{path} cannot be written: {error.strerror}.", "Choose a writable place with enough space."
        ) from error


def export_text(templates: Iterable[Template]) -> str:
    """The content of a template file, for `read_import` here or elsewhere."""
    fields = TemplateEntry.__struct_fields__
    entries = [{name: getattr(template, name) for name in fields} for template in templates]
    document = {"format": FORMAT, "version": FORMAT_VERSION, "templates": entries}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def read_import(text: str) -> tuple[list[TemplateEntry], list[RefusedEntry]]:
    """The sound entries of a template file, and the others with their reasons.

    Raises:
        FormatError: it is not a template file.
    """
    good: list[TemplateEntry] = []
    refused: list[RefusedEntry] = []
    for index, entry in enumerate(_entries(text)):
        reasons = _check_entry(entry)
        if reasons:
            name = entry.get("name") if isinstance(entry, dict) else None
            shown = name[:64] if isinstance(name, str) else f"entry {index + 1}"
            refused.append(RefusedEntry(index=index, name=shown, reason=" ".join(reasons)))
        else:
            good.append(msgspec.convert(entry, TemplateEntry))
    return good, refused


def _entries(text: str) -> list[Any]:
    if len(text.encode()) > FILE_LIMIT:
        raise FormatError(f"The file is longer than {size(FILE_LIMIT)}, the limit of a template file.", _WAY_OUT)
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FormatError(f"The file is not JSON: {error}.", _WAY_OUT) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FormatError(f'The file is not a template file: it has no "format": "{FORMAT}".', _WAY_OUT)
    if document.get("version") != FORMAT_VERSION:
        raise FormatError(
            f"The file has version {document.get('version')!r}; this saetui reads version {FORMAT_VERSION}.",
            "Export it again with this version, or use a newer saetui.",
        )
    entries = document.get("templates")
    if not isinstance(entries, list) or not entries:
        raise FormatError("The file holds no templates.", _WAY_OUT)
    if len(entries) > MOST_ENTRIES:
        raise FormatError(
            f"The file holds {len(entries)} templates; the limit is {MOST_ENTRIES}.", "Divide them among several files."
        )
    return entries


def _check_entry(entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return ["It is not an object."]
    reasons = [f"{name}: is not a known field." for name in entry if name not in TemplateEntry.__struct_fields__]
    name, description = entry.get("name"), entry.get("description", "")
    if not isinstance(name, str) or not name:
        reasons.append("name: is missing.")
    if not isinstance(description, str):
        reasons.append("description: must be a text.")
    if not isinstance(entry.get("favorite", False), bool):
        reasons.append("favorite: must be true or false.")
    return reasons + check_template(
        name if isinstance(name, str) else "", description if isinstance(description, str) else "", entry.get("spec")
    )
