"""Which template a name on the command line means."""

from __future__ import annotations

from saetui.client.blocking import ask
from saetui.errors import Conflict, NotFound
from saetui.formats.paths import shortened
from saetui.jobs.templates import Template
from saetui.protocol.messages import GetTemplates


def find_template(key: str) -> Template:
    """The template with this name or id, or the only one whose id begins so.

    Raises:
        NotFound: there is none.
        Conflict: several ids begin so.
    """
    templates = ask(GetTemplates()).templates
    for same in (lambda found: key in (found.name, found.id), lambda found: found.name.lower() == key.lower()):
        exact = list(filter(same, templates))
        if exact:
            return exact[0]
    begun = [found for found in templates if key and found.id.startswith(key)]
    if len(begun) > 1:
        raise Conflict(f"Several templates have an id that begins with {key}.", "Give more of it, or the name.")
    if not begun:
        raise NotFound(f"There is no template {shortened(key)}.", "See `saetui templates list`.")
    return begun[0]
