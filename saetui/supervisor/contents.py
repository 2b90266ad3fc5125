"""What the files of the store hold, when such a file cannot be used, and what is lost with it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from saetui.errors import HomeError
from saetui.formats.sealed import decode_sealed
from saetui.formats.times import now
from saetui.jobs.damage import DamagedFile
from saetui.jobs.preferences import Preferences
from saetui.jobs.templates import Template
from saetui.supervisor.generations import Recovery, WhyUnreadable
from saetui.supervisor.migrations import SCHEMA_VERSION
from saetui.supervisor.record import Record


class Version(msgspec.Struct):
    """Of the schema that a file has."""

    version: int


class JobsFile(msgspec.Struct):
    """saetui.json as TinyDB lays it out: table, number, document. `templates`: until schema 2."""

    meta: dict[str, Version]
    jobs: dict[str, Record] = {}
    templates: dict[str, Template] = {}
    preferences: dict[str, Preferences] = {}


class TemplatesFile(msgspec.Struct):
    """templates.json, the same."""

    meta: dict[str, Version]
    templates: dict[str, Template] = {}


Kind = TypeVar("Kind", JobsFile, TemplatesFile)

_LOST = {
    "saetui.json": "preferences; jobs were rebuilt from their directories",
    "templates.json": "all templates of your own",
}
_OLDER = {
    "saetui.json": "at most the last change; jobs were compared with their directories",
    "templates.json": "nothing: its copy is in use",
}


def why_unreadable(path: Path, kind: type[Kind]) -> WhyUnreadable:
    """What tells why a content of a file cannot be used.

    Args:
        path: how the file is called in errors.
        kind: what it must hold.

    Returns:
        A function that raises HomeError for a file of a newer saetui: that is left as it is.
    """

    def why(content: bytes) -> str | None:
        try:
            versions = [document.version for document in decode_sealed(content, kind).meta.values()]
        except msgspec.DecodeError as error:
            return str(error)
        if len(versions) != 1 or versions[0] < 1:
            return "it has no schema version"
        if versions[0] > SCHEMA_VERSION:
            raise HomeError(
                f"{path} was written by a newer saetui (schema {versions[0]}; this one knows {SCHEMA_VERSION}).",
                "Use the newer saetui, or set SAETUI_HOME to another directory.",
            )
        return None

    return why


def losses_of(path: Path, found: Recovery, *, known: bool) -> tuple[DamagedFile, ...]:
    """What is to be said of a file.

    Args:
        path: of the file.
        found: what was found of it.
        known: it must have been there, by what else there is.
    """
    if found.sound:
        cost = "nothing: the file itself is sound, and this was its second generation"
    elif found.stepped_in:
        cost = _OLDER[path.name]
    else:
        cost = _LOST[path.name]
    losses = [
        DamagedFile(time=now(), file=str(moved.path), reason=moved.reason, moved_to=str(moved.to), lost=cost)
        for moved in found.moved
    ]
    # One that was moved aside explains already why the file is not there.
    if not losses and not found.sound and known:
        losses.append(DamagedFile(time=now(), file=str(path), reason="it was gone", moved_to=None, lost=cost))
    return tuple(losses)
