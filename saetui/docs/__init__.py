"""The pages that `saetui help TOPIC` prints and the TUI's help opens: Markdown files beside this module."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from saetui.errors import InvalidInput

_ORDER = ("training", "architectures", "figures", "reliability", "files", "json", "library", "changelog")


@dataclass(frozen=True)
class Topic:
    """One page.

    Attributes:
        name: by which it is asked for.
        text: Markdown; the first line is the title.
    """

    name: str
    text: str

    @property
    def title(self) -> str:
        """The first line, without its mark."""
        return self.text.split("\n", 1)[0].removeprefix("# ")


def topics() -> tuple[Topic, ...]:
    """All pages, in the order in which they are listed."""
    return tuple(map(read_topic, _ORDER))


def read_topic(name: str) -> Topic:
    """A page by its name.

    Raises:
        InvalidInput: there is no such page.
    """
    if name not in _ORDER:
        near = difflib.get_close_matches(name, _ORDER, n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise InvalidInput(f"There is no help on {name!r}.", f"{meant}The topics are {', '.join(_ORDER)}.")
    return Topic(name, Path(__file__).with_name(f"{name}.md").read_text(encoding="utf-8"))
