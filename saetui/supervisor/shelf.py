"""The templates: the built-in ones and the user's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.jobs.names import free_name, new_id
from saetui.jobs.template import ImportResult, Template
from saetui.jobs.templates import (
    BUILTIN_TEMPLATES,
    check_template,
    generated_name,
    missing_references,
    read_import,
    sort_templates,
)
from saetui.jobs.times import now
from saetui.protocol.messages import Change, TemplatesChanged
from saetui.supervisor.store import Store

log = logging.getLogger(__name__)


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

    async def all(self) -> tuple[Template, ...]:
        """Favourites first, then by last use; each says what of it is missing on this machine."""
        return await asyncio.to_thread(self._shown)

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
            raise NotFound(f"No template is called {text!r}.", "`saetui templates list` lists those that there are.")
        return found[0]

    def save(self, spec: dict[str, Any], name: str, description: str) -> Template:
        """A new template; a taken name gets `_2`.

        Raises:
            InvalidInput: name, description or spec are wrong; with every reason.
        """
        _refuse(check_template(name, description, spec))
        template = self._new(spec, name or generated_name(spec), description)
        return self._keep(template)

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
        return self._keep(self._new(original.spec, original.name, original.description))

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
        name = free_name(template.name, self._names())
        return self._keep(msgspec.structs.replace(template, name=name, builtin=False))

    def bring_in(self, text: str) -> ImportResult:
        """Take in the good entries of a file's content; the others are refused with their reasons.

        Raises:
            FormatError: it is no template file.
        """
        good, refused = read_import(text)
        imported = []
        for entry in good:
            template = self._new(entry.spec, entry.name, entry.description)
            imported.append(self._keep(msgspec.structs.replace(template, favorite=entry.favorite)))
        return ImportResult(
            imported=tuple(self._with_missing(template) for template in imported), refused=tuple(refused)
        )

    async def tell(self) -> None:
        """Tell everyone who listens what there is now."""
        self._publish(TemplatesChanged(await self.all()))

    def _new(self, spec: dict[str, Any], name: str, description: str) -> Template:
        moment = now()
        return Template(
            id=new_id(self._templates),
            name=free_name(name, self._names()),
            spec=spec,
            description=description,
            created_at=moment,
            updated_at=moment,
        )

    def _keep(self, template: Template) -> Template:
        self._store.save_template(template)
        self._templates[template.id] = template
        return template

    def _names(self) -> set[str]:
        return {template.name for template in self._templates.values()}

    def _shown(self) -> tuple[Template, ...]:
        return tuple(self._with_missing(template) for template in sort_templates(list(self._templates.values())))

    def _with_missing(self, template: Template) -> Template:
        try:
            return msgspec.structs.replace(template, missing=missing_references(template.spec))
        except OSError as error:
            # One unreadable directory must not keep the others from being shown.
            log.warning("template %s: %s", template.name, error)
            return msgspec.structs.replace(template, missing=("model",))


def _with_use(builtin: Template, stored: Template | None) -> Template:
    if stored is None:
        return builtin
    return msgspec.structs.replace(
        builtin, favorite=stored.favorite, use_count=stored.use_count, last_used_at=stored.last_used_at
    )


def _refuse(reasons: list[str]) -> None:
    if reasons:
        raise InvalidInput(" ".join(reasons), "Set it right and try again.")
