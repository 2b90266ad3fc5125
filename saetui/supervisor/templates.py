"""The templates: the built-in ones and the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from saetui.catalog.references import References
from saetui.display.figures import size
from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.formats.names import free_name, new_id
from saetui.formats.paths import shortened
from saetui.formats.times import now
from saetui.jobs.template_files import ImportResult, read_import
from saetui.jobs.templates import BUILTIN_TEMPLATES, Template, check_template, generated_name, sort_templates
from saetui.protocol.messages import Change, EditTemplate, SaveTemplate, TemplatesChanged
from saetui.supervisor.background import in_daemon_thread
from saetui.supervisor.store import Store

TEMPLATES_BYTES = 768 << 10
"""Bytes that all templates together may have: they are published together, and a client's queue holds 1 MiB."""

CHECK_SECONDS = 10.0
"""For how long a check of the references is awaited: a disk that does not answer must not keep the list back."""


class Templates:
    """All templates by id. Of a built-in one only the user's own data is stored: favourite and use.

    Raises (the methods that change something; nothing has changed then): HomeError: the store cannot be written. InvalidInput:
    name, description or spec are wrong, with every reason. Conflict: a built-in template cannot be changed so, or there is
    no room. NotFound (every method that takes a text): no template has this id, name or unique beginning of an id.
    """

    def __init__(self, store: Store, publish: Callable[[Change], None]) -> None:
        self._store = store
        self._publish = publish
        stored = {template.id: template for template in store.templates()}
        builtin = {template.id: _with_use(template, stored.get(template.id)) for template in BUILTIN_TEMPLATES}
        own = {template.id: template for template in stored.values() if not template.builtin}
        self._templates = builtin | own
        self.references = References()
        self._checking: asyncio.Future[None] | None = None
        self._check_wanted = asyncio.Event()

    def known(self) -> tuple[Template, ...]:
        """Favourites first, then by last use; each with what is known to be missing on this machine.

        A check begins now, and what it finds otherwise is published.
        """
        self._check_wanted.set()
        return self._sorted()

    async def checked(self) -> tuple[Template, ...]:
        """The same after a check of what they refer to."""
        await self._check()
        return self._sorted()

    async def watch(self) -> None:
        """Check whenever that is wanted, for ever, and publish what has changed."""
        while True:
            await self._check_wanted.wait()
            self._check_wanted.clear()
            before = self._sorted()
            await self._check()
            after = self._sorted()
            if [template.missing for template in before] != [template.missing for template in after]:
                self._publish(TemplatesChanged(after))

    def publish(self) -> None:
        """Publish all templates."""
        self._publish(TemplatesChanged(self.known()))

    def find(self, text: str) -> Template:
        if text in self._templates:
            return self._templates[text]
        named = [template for template in self._templates.values() if template.name == text]
        begun = [template for template in self._templates.values() if text and template.id.startswith(text)]
        found = named or (begun if len(begun) == 1 else [])
        if not found:
            raise NotFound(
                f"No template is called {shortened(text)!r}.", "`saetui templates list` lists all templates."
            )
        return found[0]

    def save(self, request: SaveTemplate) -> Template:
        """Make a template; a taken name gets `_2`."""
        _refuse(check_template(request.name, request.description, request.spec))
        name = self._free(request.name or generated_name(request.spec))
        return self._keep_new(self._new(request.spec, name, request.description))

    def edit(self, request: EditTemplate) -> Template:
        """Change what is not None in the request; of a built-in template neither name, description nor spec."""
        template = self.find(request.template)
        name, description, spec = request.name, request.description, request.spec
        if template.builtin and any(change is not None for change in (name, description, spec)):
            raise Conflict(
                f"{template.name!r} is built in and cannot be changed.", "Duplicate it, and change the copy."
            )
        _refuse(check_template(name or "", description or "", template.spec if spec is None else spec))
        if spec is not None:
            kept = {field: value for field, value in spec.items() if field != "name"}
            template = msgspec.structs.replace(template, spec=kept, updated_at=now())
        if name is not None:
            name = free_name(name or generated_name(template.spec), self._names() - {template.name})
            template = msgspec.structs.replace(template, name=name, updated_at=now())
        if description is not None:
            template = msgspec.structs.replace(template, description=description, updated_at=now())
        if request.favorite is not None:
            template = msgspec.structs.replace(template, favorite=request.favorite)
        return self.count_use(template) if request.used else self._keep(template)

    def count_use(self, template: Template) -> Template:
        """Count one more use, now."""
        return self._keep(msgspec.structs.replace(template, use_count=template.use_count + 1, last_used_at=now()))

    def duplicate(self, text: str) -> Template:
        """A copy that is the user's own."""
        original = self.find(text)
        return self._keep_new(self._new(original.spec, self._free(original.name), original.description))

    def delete(self, text: str) -> Template:
        """Remove a template of the user's own; `restore` brings it back."""
        template = self.find(text)
        if template.builtin:
            raise Conflict(f"{template.name!r} is built in and cannot be deleted.", "Leave it: it needs no disk space.")
        self._store.delete_template(template)
        del self._templates[template.id]
        return template

    def deleted(self) -> tuple[Template, ...]:
        """Templates that can be restored, the one that was deleted last first."""
        return tuple(reversed(self._store.deleted_templates()))

    def restore(self, template: Template) -> Template:
        """Bring a deleted template back as it was. Conflict: it was not deleted."""
        if template.id in self._templates:
            raise Conflict(f"{template.name!r} is there already.", "Nothing needs to be restored.")
        _refuse(check_template(template.name, template.description, template.spec))
        return self._keep_new(msgspec.structs.replace(template, name=self._free(template.name), builtin=False))

    async def add_from_file(self, text: str) -> ImportResult:
        """Add the good entries of a file's content in one write; the others are refused with their reasons.

        Raises:
            FormatError: it is no template file.
        """
        good, refused = await asyncio.to_thread(read_import, text)
        # Nothing is awaited from here on: no other template can take a name.
        names, new = self._names(), dict[str, Template]()
        for entry in good:
            template = self._new(entry.spec, free_name(entry.name, names), entry.description, new)
            names.add(template.name)
            new[template.id] = msgspec.structs.replace(template, favorite=entry.favorite)
        imported = tuple(new.values())
        self._require_room(imported)
        self._store.add_templates(imported)
        self._templates |= new
        return ImportResult(imported=tuple(map(self._with_missing, imported)), refused=tuple(refused))

    async def _check(self) -> None:
        """Check the references: one check at a time, awaited for so long at most; who comes meanwhile awaits the same."""
        if self._checking is None or self._checking.done():
            specs = [template.spec for template in self._templates.values()]

            def check() -> None:
                for spec in specs:
                    self.references.refresh(spec)

            self._checking = in_daemon_thread(check, "references")
        done, _ = await asyncio.wait({self._checking}, timeout=CHECK_SECONDS)
        for finished in done:
            finished.result()

    def _require_room(self, new: Sequence[Template]) -> None:
        added = len(msgspec.json.encode(new))
        present = len(msgspec.json.encode(list(self._templates.values())))
        if added + present > TEMPLATES_BYTES:
            raise Conflict(
                f"There is no room: all templates together may have {size(TEMPLATES_BYTES)}, these have {size(present)} "
                f"and the new {size(added)}.",
                "Export those that you do not use, and delete them here.",
            )

    def _new(self, spec: dict[str, Any], name: str, description: str, taken: Collection[str] = ()) -> Template:
        """A template that is not kept yet. `name`: a free one. `taken`: more ids that are taken."""
        moment = now()
        template_id = new_id({*self._templates, *taken})
        return Template(
            id=template_id, name=name, spec=spec, description=description, created_at=moment, updated_at=moment
        )

    def _keep_new(self, template: Template) -> Template:
        self._require_room([template])
        return self._keep(template)

    def _keep(self, template: Template) -> Template:
        self._store.save_template(template)
        self._templates[template.id] = template
        return template

    def _free(self, name: str) -> str:
        return free_name(name, self._names())

    def _names(self) -> set[str]:
        return {template.name for template in self._templates.values()}

    def _sorted(self) -> tuple[Template, ...]:
        return tuple(self._with_missing(template) for template in sort_templates(list(self._templates.values())))

    def _with_missing(self, template: Template) -> Template:
        return msgspec.structs.replace(template, missing=self.references.known_missing(template.spec))


def _with_use(builtin: Template, stored: Template | None) -> Template:
    if stored is None:
        return builtin
    return msgspec.structs.replace(
        builtin, favorite=stored.favorite, use_count=stored.use_count, last_used_at=stored.last_used_at
    )


def _refuse(reasons: list[str]) -> None:
    if reasons:
        raise InvalidInput(" ".join(reasons), "Correct this and try again.")
