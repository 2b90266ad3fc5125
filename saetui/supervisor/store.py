"""The store: jobs and templates in one TinyDB file that no crash, kill or full disk can damage.

TinyDB's own JSON storage writes in place and loses the whole file when it is killed at the wrong moment. Ours writes a new
file, syncs it, keeps the present one as the previous generation, and renames. The only file that knows TinyDB.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tinydb import Query, TinyDB
from tinydb.queries import QueryInstance
from tinydb.storages import Storage
from tinydb.table import Table

from saetui.errors import HomeError
from saetui.failpoints import hit
from saetui.jobs.preferences import Preferences
from saetui.jobs.template import Template
from saetui.rundir.durable import fsync_directory, write_durably
from saetui.rundir.sealed import SEAL, decode_sealed, seal
from saetui.supervisor.migrations import SCHEMA_VERSION, migrate
from saetui.supervisor.record import Record

log = logging.getLogger(__name__)


class _Version(msgspec.Struct):
    version: int


class _Content(msgspec.Struct):
    """The whole file as TinyDB lays it out: table, number, document."""

    meta: dict[str, _Version]
    jobs: dict[str, Record] = {}
    templates: dict[str, Template] = {}
    preferences: dict[str, Preferences] = {}


@dataclass(frozen=True)
class Opening:
    """How the store was found.

    Attributes:
        sound: False when the file was not there or could not be read, so that it may lack jobs which have a directory.
    """

    sound: bool


class AtomicStorage(Storage):
    """One JSON file, replaced as a whole; what was read stays in memory until a write fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache: dict[str, dict[str, Any]] | None = None

    def read(self) -> dict[str, dict[str, Any]] | None:
        if self._cache is None and self._path.exists():
            self._cache = _tables(self._path.read_bytes())
        return self._cache

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replace the file.

        Raises:
            OSError: nothing was written; the next read sees the file as it is.
        """
        # TinyDB has changed the cached documents in place already: until the file is there they say what is not so.
        self._cache = None
        content = _file(data)
        before = _inode(self._path)
        if before is not None:
            hit("store.previous")
            keep_previous(self._path)
        try:
            write_durably(self._path, content, point="store")
        except OSError:
            if _inode(self._path) != before:
                # It failed after the renaming: what is refused must not be there after all.
                _put_back(self._path, was_there=before is not None)
            raise
        self._cache = data


class Store:
    """Jobs and templates. Every method that writes returns when it is durable.

    Raises:
        HomeError: (every method that writes) no room or no permission; nothing has changed then.
    """

    def __init__(self, path: Path) -> None:
        """Open the store, or make it.

        Raises:
            HomeError: a newer saetui wrote it, or it cannot be read or written at all.
        """
        self._path = path
        try:
            self.opening = _recover(path)
            _bring_up_to_date(path)
            self._database = TinyDB(path, storage=AtomicStorage)
            if not self._database.table("meta").all():
                self._database.table("meta").insert({"version": SCHEMA_VERSION})
        except OSError as error:
            raise self._refused(error) from error
        self._jobs = self._database.table("jobs")
        self._templates = self._database.table("templates")
        self._preferences = self._database.table("preferences")

    def jobs(self) -> list[Record]:
        """All jobs, in the order in which they were created."""
        records = [msgspec.convert(dict(document), Record) for document in self._jobs.all()]
        return sorted(records, key=lambda record: record.job.created_at)

    def save_job(self, record: Record) -> None:
        with self._refusing():
            _put(self._jobs, msgspec.to_builtins(record), Query().job.id == record.id)

    def save_jobs(self, records: Sequence[Record]) -> None:
        """Several that are there already, in one write: all of them or none."""
        documents = {record.id: msgspec.to_builtins(record) for record in records}

        def replace(document: Any) -> None:
            new = documents[document["job"]["id"]]
            document.clear()
            document.update(new)

        with self._refusing():
            self._jobs.update(replace, Query().job.id.test(documents.__contains__))

    def remove_jobs(self, job_ids: Collection[str]) -> None:
        """In one write: all of them or none."""
        with self._refusing():
            self._jobs.remove(Query().job.id.test(lambda job_id: job_id in job_ids))

    def templates(self) -> list[Template]:
        return [msgspec.convert(dict(document), Template) for document in self._templates.all()]

    def save_template(self, template: Template) -> None:
        stored = msgspec.structs.replace(template, missing=())
        with self._refusing():
            _put(self._templates, msgspec.to_builtins(stored), Query().id == template.id)

    def remove_template(self, template_id: str) -> None:
        with self._refusing():
            self._templates.remove(Query().id == template_id)

    def preferences(self) -> Preferences:
        """What the user prefers; the defaults where nothing was ever chosen."""
        documents = self._preferences.all()
        return msgspec.convert(dict(documents[0]), Preferences) if documents else Preferences()

    def save_preferences(self, preferences: Preferences) -> None:
        with self._refusing():
            _put(self._preferences, msgspec.to_builtins(preferences), Query().noop())

    @contextlib.contextmanager
    def _refusing(self) -> Any:
        try:
            yield
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> HomeError:
        return HomeError(
            f"{self._path} cannot be written: {error.strerror or error}.",
            f"Make room or give this user the right to write in {self._path.parent}.",
        )


def _put(table: Table, document: dict[str, Any], same: QueryInstance) -> None:
    """Insert or replace in one write; TinyDB's own upsert writes twice."""
    if table.contains(same):
        table.update(document, same)
    else:
        table.insert(document)


def _file(tables: dict[str, dict[str, Any]]) -> bytes:
    return seal(msgspec.json.format(msgspec.json.encode(tables), indent=1))


def _tables(content: bytes) -> dict[str, dict[str, Any]]:
    """A file that was found sound, without its checksum."""
    return {name: table for name, table in msgspec.json.decode(content, type=dict[str, Any]).items() if name != SEAL}


def previous_generation(path: Path) -> Path:
    """Where the file before the present one is kept."""
    return path.with_name(f"{path.name}.previous")


def keep_previous(path: Path) -> None:
    """Let the present file live on under its second name while it is replaced."""
    if _inode(path) == _inode(previous_generation(path)):
        # The last write failed after this. Renaming one name of a file onto another of it would leave both.
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        os.link(path, temporary)
    except OSError:
        # Some file systems have no hard links.
        shutil.copyfile(path, temporary)
    os.replace(temporary, previous_generation(path))


def _put_back(path: Path, *, was_there: bool) -> None:
    """Make the previous generation the present one again, or take away the first one that there was."""
    if was_there:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        shutil.copyfile(previous_generation(path), temporary)
        temporary.chmod(0o600)
        os.replace(temporary, path)
    else:
        path.unlink()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _recover(path: Path) -> Opening:
    """See that the file is there and sound, or absent; sweep what an interrupted write left."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        leftover.unlink()
    if not path.exists():
        _bring_back(path)
        return Opening(sound=False)
    reason = _why_unreadable(path)
    if reason is None:
        return Opening(sound=True)
    aside = path.with_name(f"{path.name}.unreadable-{secrets.token_hex(4)}")
    os.rename(path, aside)
    fsync_directory(path.parent)
    log.error("%s could not be read (%s); it was moved to %s", path, reason, aside)
    _bring_back(path)
    return Opening(sound=False)


def _bring_up_to_date(path: Path) -> None:
    """Rewrite a file of an older saetui; it is kept beside the new one, for whoever wants to go back."""
    if not path.exists():
        return
    old = path.read_bytes()
    content = _tables(old)
    version = migrate(content)
    if version == SCHEMA_VERSION:
        return
    kept = path.with_name(f"{path.name}.version-{version}")
    write_durably(kept, old)
    write_durably(path, _file(content), point="store")
    log.warning("%s was of schema %d and is now of schema %d; the old one is %s", path, version, SCHEMA_VERSION, kept)


def _bring_back(path: Path) -> bool:
    previous = previous_generation(path)
    if not previous.exists() or _why_unreadable(previous) is not None:
        return False
    write_durably(path, previous.read_bytes())
    log.warning("the previous generation of %s is in use", path)
    return True


def _why_unreadable(path: Path) -> str | None:
    try:
        content = decode_sealed(path.read_bytes(), _Content)
    except msgspec.DecodeError as error:
        return str(error)
    versions = [document.version for document in content.meta.values()]
    if len(versions) != 1 or versions[0] < 1:
        return "it has no schema version"
    if versions[0] > SCHEMA_VERSION:
        raise HomeError(
            f"{path} was written by a newer saetui (schema {versions[0]}; this one knows {SCHEMA_VERSION}).",
            "Use the newer saetui, or set SAETUI_HOME to another directory.",
        )
    return None
