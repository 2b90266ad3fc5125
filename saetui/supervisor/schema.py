"""What the files of the store hold in each version, how an older file becomes a newer one, and what is lost with one.

Schema 1: jobs and templates. Schema 2: preferences, and the queue has an order of its own (`queue_rank`). Schema 3: the
templates have a file of their own, into which the store has moved them before it migrates the jobs' file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from saetui.errors import HomeError
from saetui.formats.sealed import decode_sealed
from saetui.formats.times import now
from saetui.jobs.damage import DamagedFile
from saetui.jobs.preferences import Preferences
from saetui.jobs.templates import Template
from saetui.supervisor.generations import Generations
from saetui.supervisor.record import Record

SCHEMA_VERSION = 3

Tables = dict[str, dict[str, Any]]
"""A file as TinyDB lays it out: table, number, document."""


class Version(msgspec.Struct):
    """The schema of a file."""

    version: int


class JobsFile(msgspec.Struct):
    """saetui.json as TinyDB lays it out. `templates`: until schema 2."""

    meta: dict[str, Version]
    jobs: dict[str, Record] = {}
    templates: dict[str, Template] = {}
    preferences: dict[str, Preferences] = {}


class TemplatesFile(msgspec.Struct):
    """templates.json, the same. `deleted`: the newest of those that can be restored; older ones of saetui ignore it."""

    meta: dict[str, Version]
    templates: dict[str, Template] = {}
    deleted: dict[str, Template] = {}


Kind = TypeVar("Kind", JobsFile, TemplatesFile)

_LOST = {
    "saetui.json": "preferences; jobs were rebuilt from their directories",
    "templates.json": "all templates of your own",
}
_OLDER = {
    "saetui.json": "at most the last change; jobs were compared with their directories",
    "templates.json": "nothing: its copy is in use",
}


def migrate(tables: Tables) -> int:
    """Bring a jobs' file to this version, in place. Returns the version that it had."""
    (meta,) = tables["meta"].values()
    found = int(meta["version"])
    for step in _STEPS[found - 1 :]:
        step(tables)
    meta["version"] = SCHEMA_VERSION
    return found


def _give_ranks(tables: Tables) -> None:
    """Version 1 started queued jobs in the order in which they were made."""
    queued = [record["job"] for record in tables.get("jobs", {}).values() if record["job"]["status"] == "queued"]
    for rank, job in enumerate(sorted(queued, key=lambda job: str(job["created_at"])), start=1):
        job["queue_rank"] = rank


def _drop_templates(tables: Tables) -> None:
    tables.pop("templates", None)


_STEPS: tuple[Callable[[Tables], None], ...] = (_give_ranks, _drop_templates)


def why_unreadable(path: Path, kind: type[Kind], content: bytes) -> str | None:
    """Why the content of a file cannot be used; None where it can.

    Raises:
        HomeError: the file is of a newer saetui, and is left as it is.
    """
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


def losses_of(path: Path, found: Generations, *, expected: bool) -> tuple[DamagedFile, ...]:
    """What the user must know about a file. `expected`: other files show that it must have been there."""
    if found.sound:
        cost = "nothing: the file itself is sound, and this was its second generation"
    elif found.previous_in_use:
        cost = _OLDER[path.name]
    else:
        cost = _LOST[path.name]
    losses = [
        DamagedFile(time=now(), file=str(moved.path), reason=moved.reason, moved_to=str(moved.to), lost=cost)
        for moved in found.moved
    ]
    # A file that was moved aside explains already why it is not there.
    if not losses and not found.sound and expected:
        losses.append(DamagedFile(time=now(), file=str(path), reason="it was gone", moved_to=None, lost=cost))
    return tuple(losses)
