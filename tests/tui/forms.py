"""A small model and text to fill forms with, and what the form's tests look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from saetui.tui.screens.new_training import NewTrainingScreen
from saetui.tui.widgets.field_row import FieldRow
from saetui.tui.widgets.layer_grid import HookPointGrid, LayerGrid
from saetui.tui.widgets.line_canvas import LineCanvas
from saetui.tui.widgets.start_row import Readiness
from saetui.tui.widgets.training_form import TrainingForm
from tests.catalog.test_model_sizes import write_head


def make_model(path: Path, layers: int = 6, width: int = 64, context: int = 256) -> Path:
    """A directory that looks like a model to everything that does not load it."""
    path.mkdir(parents=True)
    names = f'"num_hidden_layers": {layers}, "hidden_size": {width}, "max_position_embeddings": {context}'
    (path / "config.json").write_text(f'{{"model_type": "llama", {names}}}')
    shapes = {"embed.weight": [512, width]} | {f"layers.{layer}.all": [12 * width * width] for layer in range(layers)}
    write_head(path / "model.safetensors", shapes, bytes(200_000))
    (path / "tokenizer.json").write_text("{}")
    return path


def make_text(path: Path) -> Path:
    """A file of text, long enough for a few contexts."""
    path.write_text("The quick brown fox jumps over the lazy dog.\n" * 200)
    return path


def small_spec(folder: Path, **changes: Any) -> dict[str, Any]:
    """A spec with a model and a text of its own; nothing bundled is read."""
    model, text = folder / "model", folder / "text.txt"
    if not model.exists():
        make_model(model)
        make_text(text)
    return {"model": str(model), "dataset": {"source": str(text)}, **changes}


async def until(pilot: Pilot[Any], condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Let the app run until something is so; the test fails when it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        await pilot.pause(0.01)
    await pilot.pause()


class FormReader:
    """The form of an app as its user sees it."""

    def __init__(self, pilot: Pilot[Any]) -> None:
        self.pilot = pilot

    @property
    def screen(self) -> NewTrainingScreen:
        screen = self.pilot.app.screen
        assert isinstance(screen, NewTrainingScreen), screen
        return screen

    @property
    def form(self) -> TrainingForm:
        return self.screen.query_one(TrainingForm)

    @property
    def layers(self) -> LayerGrid:
        return self.screen.query_one(LayerGrid)

    @property
    def hook_points(self) -> HookPointGrid:
        return self.screen.query_one(HookPointGrid)

    def row(self, field: str) -> FieldRow | None:
        """The row of a hyperparameter or field, where it is shown."""
        names = {field, f"hyperparameters.{field}", f"dataset.{field}"}
        return next((row for row in self.screen.query(FieldRow) if row.info.field in names), None)

    def line(self, field: str) -> str:
        """A row's text without its input."""
        row = self.row(field)
        assert row is not None, f"{field} is not shown"
        return text_of(row)

    @property
    def focused(self) -> str | None:
        return self.form.focused_field()

    @property
    def ready(self) -> bool:
        return self.form.start.state.readiness is Readiness.READY

    async def settled(self) -> None:
        """Wait until the machine has been asked about what stands there now."""
        await until(self.pilot, lambda: self.form.start.state.readiness in (Readiness.READY, Readiness.WRONG))
        await until(self.pilot, lambda: self.screen.checked)

    async def go_to(self, field: str) -> None:
        """Put the focus on a field, as if by many tabs."""
        wanted = (field, f"hyperparameters.{field}", f"dataset.{field}")
        assert any(self.form.focus_field(name) for name in wanted), f"{field} is not in the form"
        await until(self.pilot, lambda: self.focused in wanted)

    async def fill(self, **texts: str) -> None:
        """Go to each of these fields and type its text; then wait until the machine has been asked."""
        for field, text in texts.items():
            await self.go_to(field)
            await self.type(text)
        await self.settled()

    async def type(self, text: str) -> None:
        """Type into the focused field, over what stands there."""
        await self.pilot.press("ctrl+u", *keys_of(text))
        # A pause lets messages go one widget further: from the input to its row, from there to the form, and back.
        for _ in range(3):
            await self.pilot.pause()


def keys_of(text: str) -> list[str]:
    """The keys that type a text."""
    return ["space" if letter == " " else letter for letter in text]


def text_of(widget: LineCanvas) -> str:
    """What a canvas shows, as lines of text."""
    size = widget.content_size
    return "\n".join(strip.text.rstrip() for strip in widget.draw(size.width, size.height))
