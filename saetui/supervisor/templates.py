"""The templates: the built-in ones and the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from saetui.catalog.references import References
from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.formats.names import free_name, new_id
from saetui.formats.paths import shortened
from saetui.formats.times import now
from saetui.jobs.template_files import ImportResult, read_import
from saetui.jobs.templates import (
    BUILTIN_TEMPLATES,
    Template,
    check_template,
    generated_name,
    sort_templates,
)
from saetui.protocol.messages import Change, TemplatesChanged
from saetui.supervisor.store import Store
from saetui.supervisor.waiting import in_daemon_thread

ROOM = 768 << 10
"""Bytes that all templates may have: they are told together, and a client's queue holds 1 MiB."""

LOOK_SECONDS = 10.0
"""How long a look at what templates refer to is waited for: a disk that does not answer must not keep the list back."""


class Shelf:
    """All templates by id. Of a built-in one only what the user did with it is stored.

    Every method that changes something raises HomeError when the store cannot be written; nothing has changed then.
    """

    def __init__(self, store: Store, publish: Callable[[Change], None]) -> None:
        self._store = store
        self._publish = publish
        stored = {template.id: template for template in store.templates()}
        builtin = {template.id: _with_use(template, stored.get(template.id)) for template in BUILTIN_TEMPLATES}
        own = {template.id: template for template in stored.values() if not template.builtin}
        self._templates = builtin | own
        self.references = References()
        self._looking: asyncio.Future[None] | None = None
        self._wanted = asyncio.Event()

    def known(self) -> tuple[Template, ...]:
        """Favourites first, then by last use; each says what of it is known to be missing on this machine.

        Whoever listens is told again when a look, which begins now, finds that otherwise.
        """
        self._wanted.set()
        return self._shown()

    async def all(self) -> tuple[Template, ...]:
        """The same after a look at what they refer to."""
        await self._look()
        return self._shown()

    async def watch(self) -> None:
        """Look whenever that is wanted, for ever, and tell what has changed by it."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            before = self._shown()
            await self._look()
            after = self._shown()
            if [template.missing for template in before] != [template.missing for template in after]:
                self._publish(TemplatesChanged(after))

    def find(self, text: str) -> Template:
        """The template with this id, this name, or this unique beginning of an id.

        Raises:
            NotFound: there is none.
        """
        if text in self._templates:
            return self._templates[text]
        named = [template for template in self._templates.values() if template.name == text]
        begun = [template for template in self._templates.values() if text and template.id.startswith(text)]
        found = named or (begun if len(begun) == 1 else [])
        if not found:
            raise NotFound(
                f"No template is called {shortened(text)!r}.", "`saetui templates list` lists those that there are."
            )
        return found[0]

    def save(self, spec: dict[str, Any], name: str, description: str) -> Template:
        """A new template; a taken name gets `_2`.

        Raises:
            InvalidInput: name, description or spec are wrong; with every reason.
        """
        _refuse(check_template(name, description, spec))
        return self._keep_new(self._new(spec, self._free(name or generated_name(spec)), description))

    def edit(
        self, text: str, *, name: str | None, description: str | None, favorite: bool | None, used: bool
    ) -> Template:
        """Change what is not None.

        Raises:
            Conflict: the template is built-in and shall have another name or description.
            InvalidInput: name or description are wrong.
        """
        template = self.find(text)
        if template.builtin and (name is not None or description is not None):
            raise Conflict(f"{template.name!r} is built in and cannot be changed.", "Duplicate it, and change that.")
        _refuse(check_template(name or "", description or "", template.spec))
        if name is not None:
            if not name:
                name = generated_name(template.spec)
            template = msgspec.structs.replace(template, name=free_name(name, self._names() - {template.name}))
        if description is not None:
            template = msgspec.structs.replace(template, description=description)
        if name is not None or description is not None:
            template = msgspec.structs.replace(template, updated_at=now())
        if favorite is not None:
            template = msgspec.structs.replace(template, favorite=favorite)
        return self.count_use(template) if used else self._keep(template)

    def count_use(self, template: Template) -> Template:
        """One more use, now."""
        return self._keep(msgspec.structs.replace(template, use_count=template.use_count + 1, last_used_at=now()))

    def duplicate(self, text: str) -> Template:
        """A copy that is the user's own."""
        original = self.find(text)
        return self._keep_new(self._new(original.spec, self._free(original.name), original.description))

    def delete(self, text: str) -> Template:
        """Take a template away; `restore` brings it back.

        Raises:
            Conflict: it is built-in.
        """
        template = self.find(text)
        if template.builtin:
            raise Conflict(f"{template.name!r} is built in and cannot be deleted.", "It takes no room.")
        self._store.remove_template(template.id)
        del self._templates[template.id]
        return template

    def restore(self, template: Template) -> Template:
        """Bring a deleted template back as it was.

        Raises:
            Conflict: it is there.
            InvalidInput: it is not one that could have been deleted.
        """
        if template.id in self._templates:
            raise Conflict(f"{template.name!r} is there already.", "Nothing needs to be restored.")
        _refuse(check_template(template.name, template.description, template.spec))
        return self._keep_new(msgspec.structs.replace(template, name=self._free(template.name), builtin=False))

    async def bring_in(self, text: str) -> ImportResult:
        """Take in the good entries of a file's content in one write; the others are refused with their reasons.

        Raises:
            FormatError: it is no template file.
            Conflict: there is no room for so many; none came in.
        """
        good, refused = await asyncio.to_thread(read_import, text)
        # From here to the end nothing waits: no other template can take a name.
        names, new = self._names(), dict[str, Template]()
        for entry in good:
            template = self._new(entry.spec, free_name(entry.name, names), entry.description, new)
            names.add(template.name)
            new[template.id] = msgspec.structs.replace(template, favorite=entry.favorite)
        imported = tuple(new.values())
        self._see_that_there_is_room(imported)
        self._store.add_templates(imported)
        self._templates |= new
        return ImportResult(imported=tuple(map(self._with_missing, imported)), refused=tuple(refused))

    def tell(self) -> None:
        """Tell everyone who listens what there is now."""
        self._publish(TemplatesChanged(self.known()))

    async def _look(self) -> None:
        """One look at a time, at most so long: who comes meanwhile waits for the same."""
        if self._looking is None or self._looking.done():
            specs = [template.spec for template in self._templates.values()]

            def look() -> None:
                for spec in specs:
                    self.references.refresh(spec)

            self._looking = in_daemon_thread(look, "references")
        done, _ = await asyncio.wait({self._looking}, timeout=LOOK_SECONDS)
        for look_done in done:
            look_done.result()

    def _see_that_there_is_room(self, new: Sequence[Template]) -> None:
        size = len(msgspec.json.encode(new))
        taken = len(msgspec.json.encode(list(self._templates.values())))
        if size + taken > ROOM:
            raise Conflict(
                f"There is no room: all templates together may have {ROOM >> 10} KiB, these have {taken >> 10} KiB and the"
                f" new {size >> 10} KiB.",
                "Export those that you do not use, and delete them here.",
            )

    def _new(self, spec: dict[str, Any], name: str, description: str, ids: Collection[str] = ()) -> Template:
        """A template that is not kept yet, under a free name. `ids`: more that are taken."""
        moment = now()
        new = new_id(self._templates)
        while new in ids:
            new = new_id(self._templates)
        return Template(
            id=new,
            name=name,
            spec=spec,
            description=description,
            created_at=moment,
            updated_at=moment,
        )

    def _keep_new(self, template: Template) -> Template:
        self._see_that_there_is_room([template])
        return self._keep(template)

    def _keep(self, template: Template) -> Template:
        self._store.save_template(template)
        self._templates[template.id] = template
        return template

    def _free(self, name: str) -> str:
        return free_name(name, self._names())

    def _names(self) -> set[str]:
        return {template.name for template in self._templates.values()}

    def _shown(self) -> tuple[Template, ...]:
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
        raise InvalidInput(" ".join(reasons), "Set it right and try again.")
