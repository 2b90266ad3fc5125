"""The list of templates: favourites first, then by last use."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.figures import ABSENT
from saetui.display.text import fit, shorten
from saetui.jobs.templates import Template
from saetui.tui.widgets.line_canvas import Piece, filled, line
from saetui.tui.widgets.line_list import ItemList

_USES_WIDTH = 8
_ARCHITECTURE_WIDTH = 12
_ROOMY = 48


class TemplateList(ItemList[Template]):
    """Templates with their marks.

    Attributes:
        marked: ids of the marked ones.
    """

    DEFAULT_CSS = "TemplateList { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__(id="template-list")
        self.marked: set[str] = set()
        self._searched = ""

    def show(self, templates: Sequence[Template], searched: str = "") -> None:
        """Show these templates. `searched`: the text that they contain."""
        self._searched = searched
        self.marked &= {template.id for template in templates}
        self.set_items(templates)

    def toggle_mark(self) -> None:
        """Mark or unmark the highlighted one, and go to the next."""
        template = self.highlighted
        if template is not None:
            self.marked ^= {template.id}
            self.move_to(self.cursor + 1)
            self.repaint()

    def toggle_all(self) -> None:
        """Mark all that are shown; when all are marked, unmark them."""
        shown = {template.id for template in self.items}
        self.marked = set() if self.marked == shown else shown
        self.repaint()

    def heading(self, width: int) -> Sequence[Strip]:
        tail = "architecture".ljust(_ARCHITECTURE_WIDTH) if width >= _ROOMY else ""
        name = fit("name", self._name_width(width))
        return [line((f"    {name} {tail}{'used':>{_USES_WIDTH}}", self.colour("muted")))]

    def row(self, index: int, width: int, selected: bool) -> Strip:
        template = self.items[index]
        on = "cursor" if selected else ""
        muted = self.colour("muted", on=on)
        mark: Piece = ("●", self.colour("primary", on=on)) if template.id in self.marked else (" ", muted)
        star: Piece = ("★ ", self.colour("warning", on=on)) if template.favorite else ("  ", muted)
        name = self.colour("strong" if selected else "foreground", bold=selected, on=on)
        flag: Piece = ("▲ ", self.colour("warning", on=on)) if template.missing else ("", muted)
        room = self._name_width(width) - len(flag[0])
        pieces: list[Piece] = [
            ("▌" if selected else " ", self.colour("primary", on=on)),
            mark,
            star,
            (fit(template.name, room), name),
            flag,
            (" ", muted),
        ]
        if width >= _ROOMY:
            pieces.append((fit(str(template.spec.get("architecture") or ""), _ARCHITECTURE_WIDTH), muted))
        uses = f"{template.use_count}×" if template.use_count else ABSENT
        pieces.append((f"{uses:>{_USES_WIDTH}}", muted))
        return filled(line(*pieces), width, muted)

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        muted, key = self.colour("muted"), self.colour("primary", bold=True)
        if self._searched:
            said = shorten(f"no template contains “{self._searched}”", width - 4)
            return [
                line(),
                line((f"    {said}", muted)),
                line(("    ", muted), ("esc", key), (" shows all again", muted)),
            ]
        return [
            line(),
            line(("    no templates yet", muted)),
            line(("    ", muted), ("n", key), (" fill the form and save it", muted)),
            line(("    ", muted), ("i", key), (" import a file", muted)),
        ]

    def _name_width(self, width: int) -> int:
        return max(8, width - 6 - _USES_WIDTH - (_ARCHITECTURE_WIDTH if width >= _ROOMY else 0))
