"""The store: jobs in one TinyDB file, templates in a second, that no crash, kill, full disk or damaged file can lose.

TinyDB's own JSON storage writes in place and loses the whole file when it is killed at the wrong moment. Ours writes a new
file, syncs it, keeps the present one as the previous generation, and renames. Jobs can be rebuilt from their directories;
templates are nowhere else, so their second generation is as new as the first and either file can be lost. Only this file
knows TinyDB.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from tinydb import Query, TinyDB
from tinydb.queries import QueryInstance
from tinydb.storages import Storage
from tinydb.table import Table

from saetui.errors import HomeError
from saetui.failpoints import hit
from saetui.formats.durable import write_durably
from saetui.formats.regular import read_regular
from saetui.formats.sealed import SEAL, seal
from saetui.jobs.preferences import Preferences
from saetui.jobs.templates import Template
from saetui.supervisor.generations import LIMIT, inode, keep_previous, previous_generation, put_back, recover
from saetui.supervisor.record import Record
from saetui.supervisor.schema import SCHEMA_VERSION, JobsFile, Tables, TemplatesFile, losses_of, migrate, why_unreadable

__all__ = ["Store", "previous_generation"]

MOST_DELETED = 20
"""Deleted templates that are kept, so that they can be restored."""

log = logging.getLogger(__name__)


class AtomicStorage(Storage):
    """One JSON file, replaced as a whole. What was read stays in memory until a write fails."""

    def __init__(self, path: Path, point: str = "store", *, twin: bool = False) -> None:
        """`point`: the failpoints of its writes. `twin`: the second generation gets the same content after every write."""
        self._path = path
        self._point = point
        self._twin = twin
        self._cache: Tables | None = None
        self._waits = False

    @contextlib.contextmanager
    def one_write(self) -> Iterator[None]:
        """Write the file once, at the end, whatever is written within. Raises as `write`; then nothing has changed."""
        self._waits = True
        try:
            yield
        except BaseException:
            self._cache = None
            raise
        finally:
            self._waits = False
        if self._cache is not None:
            self.write(self._cache)

    def read(self) -> Tables | None:
        if self._cache is None and self._path.exists():
            self._cache = _tables(read_regular(self._path, LIMIT))
        return self._cache

    def write(self, data: Tables) -> None:
        """Replace the file.

        Raises:
            OSError: nothing was written; the next read returns the file as it is.
        """
        if self._waits:
            self._cache = data
            return
        # TinyDB has changed the cached documents in place already: until the file is written they are wrong.
        self._cache = None
        content = _file(data)
        before = inode(self._path)
        if before is not None and self._twin:
            hit("templates.previous")
            keep_previous(self._path)
        elif before is not None:
            hit("store.previous")
            keep_previous(self._path)
        try:
            write_durably(self._path, content, point=self._point)
        except OSError:
            if inode(self._path) != before:
                # It failed after the renaming: a change that is refused must not stay.
                put_back(self._path, was_there=before is not None)
            raise
        self._cache = data
        if self._twin:
            renew_copy(self._path, content)


class Store:
    """Jobs and templates. Every method that writes returns when it is durable.

    Attributes:
        sound: False when the jobs' file was gone or could not be read, so that it may lack jobs which have a directory.
        losses: the files that could not be read, and what was lost with them.

    Raises (every method that writes): HomeError: no room or no permission; nothing has changed then.
    """

    def __init__(self, path: Path) -> None:
        """Open the store, or make it. The templates' file lies beside the jobs'.

        Raises:
            HomeError: a newer saetui wrote it, or it cannot be read or written at all.
        """
        self._path = path
        self._templates_path = path.with_name("templates.json")
        with _storing(path):
            expected = any(file.exists() for file in (path, previous_generation(path), self._templates_path))
            jobs = recover(path, partial(why_unreadable, path, JobsFile))
            templates = recover(self._templates_path, partial(why_unreadable, self._templates_path, TemplatesFile))
            old = _old_templates(path) if jobs.present else None
            self.sound = jobs.sound
            self.losses = losses_of(path, jobs, expected=expected)
            self.losses += losses_of(self._templates_path, templates, expected=jobs.present and old is None)
        with _storing(self._templates_path):
            database = TinyDB(self._templates_path, storage=AtomicStorage, point="templates", twin=True)
            assert isinstance(database.storage, AtomicStorage)
            self._templates_storage = database.storage
            self._templates = database.table("templates")
            self._deleted = database.table("deleted")
            _ensure_version(database)
            here = {template.id for template in self.templates()}
            # Templates that are here already are newer than those in the one file of an older saetui.
            self.add_templates([template for template in old or [] if template.id not in here])
            if not templates.sound or templates.moved or not previous_generation(self._templates_path).exists():
                renew_copy(self._templates_path, read_regular(self._templates_path, LIMIT))
        with _storing(path):
            _update_schema(path)
            database = TinyDB(path, storage=AtomicStorage)
            assert isinstance(database.storage, AtomicStorage)
            self._storage = database.storage
            _ensure_version(database)
            self._jobs = database.table("jobs")
            self._preferences = database.table("preferences")

    def jobs(self) -> list[Record]:
        """All jobs, in the order in which they were created."""
        records = [msgspec.convert(dict(document), Record) for document in self._jobs.all()]
        return sorted(records, key=lambda record: record.job.created_at)

    def save_jobs(self, records: Sequence[Record]) -> None:
        """Store several jobs, new or known, in one write: all of them or none."""
        documents = {record.id: msgspec.to_builtins(record) for record in records}

        def replace(document: Any) -> None:
            new = documents.pop(document["job"]["id"])
            document.clear()
            document.update(new)

        with _storing(self._path), self._storage.one_write():
            self._jobs.update(replace, Query().job.id.test(documents.__contains__))
            self._jobs.insert_multiple(documents.values())

    def remove_jobs(self, job_ids: Collection[str]) -> None:
        """Remove jobs in one write: all of them or none."""
        with _storing(self._path):
            self._jobs.remove(Query().job.id.test(lambda job_id: job_id in job_ids))

    def templates(self) -> list[Template]:
        return [msgspec.convert(dict(document), Template) for document in self._templates.all()]

    def deleted_templates(self) -> list[Template]:
        """Templates that were deleted and can be restored, the newest last."""
        return [msgspec.convert(dict(document), Template) for document in self._deleted.all()]

    def save_template(self, template: Template) -> None:
        """Store a template, new, known or restored."""
        same = Query().id == template.id
        with _storing(self._templates_path), self._templates_storage.one_write():
            _put(self._templates, _stored(template), same)
            self._deleted.remove(same)

    def add_templates(self, templates: Sequence[Template]) -> None:
        """Add several new templates in one write: all of them or none."""
        if templates:
            with _storing(self._templates_path):
                self._templates.insert_multiple([_stored(template) for template in templates])

    def delete_template(self, template: Template) -> None:
        """Move a template to the deleted ones, of which the newest are kept."""
        with _storing(self._templates_path), self._templates_storage.one_write():
            for table in (self._templates, self._deleted):
                table.remove(Query().id == template.id)
            self._deleted.insert(_stored(template))
            self._deleted.remove(doc_ids=[old.doc_id for old in self._deleted.all()[:-MOST_DELETED]])

    def preferences(self) -> Preferences:
        """The user's preferences; the defaults where none was ever set."""
        documents = self._preferences.all()
        return msgspec.convert(dict(documents[0]), Preferences) if documents else Preferences()

    def save_preferences(self, preferences: Preferences) -> None:
        with _storing(self._path):
            _put(self._preferences, msgspec.to_builtins(preferences), Query().noop())


@contextlib.contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HomeError(
            f"{path} cannot be written: {error.strerror or error}.",
            f"Free some space, or give this user the right to write in {path.parent}.",
        ) from error


def renew_copy(path: Path, content: bytes) -> None:
    """Give the second generation the content of the first. Where there is no room, the first must do."""
    try:
        write_durably(previous_generation(path), content, point="templates.copy")
    except OSError as error:
        log.warning("the copy of %s is older than it: %s", path, error)


def _stored(template: Template) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(template, missing=()))
    return built


def _put(table: Table, document: dict[str, Any], same: QueryInstance) -> None:
    """Insert or replace in one write; TinyDB's own upsert writes twice."""
    if table.contains(same):
        table.update(document, same)
    else:
        table.insert(document)


def _file(tables: Tables) -> bytes:
    return seal(msgspec.json.format(msgspec.json.encode(tables), indent=1))


def _tables(content: bytes) -> Tables:
    """The tables of a file that was found sound."""
    return {name: table for name, table in msgspec.json.decode(content, type=dict[str, Any]).items() if name != SEAL}


def _ensure_version(database: TinyDB) -> None:
    if not database.table("meta").all():
        database.table("meta").insert({"version": SCHEMA_VERSION})


def _old_templates(path: Path) -> list[Template] | None:
    """The templates that an older saetui kept beside the jobs; None where the file is of this version."""
    content = msgspec.json.decode(read_regular(path, LIMIT), type=JobsFile)
    (meta,) = content.meta.values()
    return None if meta.version == SCHEMA_VERSION else list(content.templates.values())


def _update_schema(path: Path) -> None:
    """Rewrite a file of an older saetui, and keep the old file beside the new one: the user may want to go back."""
    if not path.exists():
        return
    old = read_regular(path, LIMIT)
    content = _tables(old)
    version = migrate(content)
    if version == SCHEMA_VERSION:
        return
    kept = path.with_name(f"{path.name}.version-{version}")
    write_durably(kept, old)
    write_durably(path, _file(content), point="store")
    log.warning("%s was of schema %d and is now of schema %d; the old one is %s", path, version, SCHEMA_VERSION, kept)
