"""The grid of layers by itself: its shape, and moving in it."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from saetui.tui.theme import SAETUI
from saetui.tui.widgets.layer_grid import LayerGrid
from tests.tui.forms import text_of


class GridApp(App[None]):
    """A field, a grid, a field."""

    def __init__(self, layers: int | None, selected: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.register_theme(SAETUI)
        self.theme = SAETUI.name
        self.grid = LayerGrid()
        self._layers, self._selected = layers, selected

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Input(id="before", compact=True)
            yield self.grid
            yield Input(id="after", compact=True)

    def on_mount(self) -> None:
        self.grid.show(self._layers, self._selected)
        self.grid.focus()


@pytest.mark.parametrize(("layers", "columns"), [(4, 4), (12, 8), (32, 8), (80, 8)])
async def test_rows_are_even_and_fit_beside_the_label_at_80_columns(layers: int, columns: int) -> None:
    app = GridApp(layers)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.grid.columns() == columns
        assert max(map(len, text_of(app.grid).splitlines())) <= 80
        assert app.grid.size.height == max(2, -(-layers // columns))


async def test_arrows_and_letters_move_and_space_selects() -> None:
    app = GridApp(32)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("j", "l", "space", "down", "right", "enter", "k", "h", "left", "space")
        assert app.grid.chosen == (8, 9, 18)
        await pilot.press("a")
        assert app.grid.chosen == tuple(range(32))
        await pilot.press("x")
        assert not app.grid.chosen


async def test_moving_past_its_edge_goes_to_the_next_field() -> None:
    app = GridApp(4)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down")
        assert app.focused is app.query_one("#after")
        app.grid.focus()
        await pilot.press("up")
        assert app.focused is app.query_one("#before")


async def test_what_is_selected_is_told_without_colour() -> None:
    app = GridApp(3, (1,))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "□ 0  ■ 1  □ 2" in text_of(app.grid)
        assert "(1 selected)" in text_of(app.grid)


async def test_without_a_model_it_says_what_is_missing() -> None:
    app = GridApp(None)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "choose a model to see its layers" in text_of(app.grid)
        await pilot.press("space", "right", "a")
        assert app.grid.chosen == ()
