"""Pictures of New training and Templates, and of their dialogs: whole, in error, and empty, at both sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from saetui.jobs.template_files import ImportResult, RefusedEntry
from saetui.jobs.templates import BUILTIN_TEMPLATES, Template
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.file_path import ImportReportScreen
from saetui.tui.screens.new_training import NewTrainingScreen
from saetui.tui.screens.pick import PickScreen
from saetui.tui.screens.save_template import SaveTemplateScreen
from saetui.tui.screens.templates import TemplatesScreen
from tests.tui.fixed import FixedSource
from tests.tui.forms import FormReader, make_model, make_text, until

Compare = Callable[..., bool]
Before = Callable[[Pilot[Any]], Awaitable[None]]

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 40), id="120x40")]


def mine(name: str, **more: Any) -> Template:
    spec = {"architecture": "topk", "hyperparameters": {"k": 16, "expansion_factor": 4}}
    times = {"created_at": "2026-11-02T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"}
    return Template(**{"id": name, "name": name, "spec": spec, **times, **more})


TEMPLATES = (
    mine(
        "gemma sweep",
        favorite=True,
        use_count=12,
        last_used_at="2026-11-20T10:00:00Z",
        description="The one that worked.",
    ),
    mine("old experiment", missing=("model",), spec={"model": "gone/model", "layers": [3], "dtype": "bfloat16"}),
    mine("a name that is as long as a name may be, sixty-four letters big", use_count=1),
    *BUILTIN_TEMPLATES,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with models and a text: their relative paths are the same everywhere."""
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "llama", layers=6)
    make_model(tmp_path / "llama-large", layers=32, width=2048)
    make_text(tmp_path / "text.txt")
    return tmp_path


def app_with(templates: tuple[Template, ...] = TEMPLATES) -> SaetuiApp:
    return SaetuiApp(FixedSource(templates=templates), theme="saetui")


def form_after(*keys: str, model: str = "./llama", **changes: Any) -> Before:
    """Opens the form, waits until the machine was asked, then presses keys."""

    async def before(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, SaetuiApp)
        await until(pilot, lambda: app.model.known)
        app.open_form({"model": model, "dataset": {"source": "./text.txt"}, **changes})
        await until(pilot, lambda: isinstance(app.screen, NewTrainingScreen))
        form = FormReader(pilot)
        await form.settled()
        await pilot.press(*keys)
        await pilot.pause()
        if isinstance(app.screen, NewTrainingScreen):
            await form.settled()

    return before


def templates_after(*keys: str) -> Before:
    async def before(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, SaetuiApp)
        app.open_templates()
        await until(pilot, lambda: isinstance(app.screen, TemplatesScreen))
        await pilot.press(*keys)
        await pilot.pause()

    return before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("size", SIZES)
class TestNewTraining:
    def test_ready(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        assert snap_compare(app_with(), terminal_size=size, run_before=form_after())

    def test_errors_and_warnings(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        wrong = {"batch_size": 100, "k": 0, "learning_rate": 0.5, "aux_k": 0}
        before = form_after("ctrl+g", model="nobody/nothing", layers=[2, 9], hyperparameters=wrong)
        assert snap_compare(app_with(), terminal_size=size, run_before=before)

    def test_many_layers(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        before = form_after(*["tab"] * 5, "a", "right", "space", model="./llama-large")
        assert snap_compare(app_with(), terminal_size=size, run_before=before)

    def test_advanced(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        before = form_after("pagedown", "pagedown", "ctrl+t", architecture="standard")
        assert snap_compare(app_with(), terminal_size=size, run_before=before)

    def test_picking_from_a_list(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        async def before(pilot: Pilot[Any]) -> None:
            await form_after("ctrl+o")(pilot)
            await until(pilot, lambda: isinstance(pilot.app.screen, PickScreen))
            await pilot.press("down")

        assert snap_compare(app_with(), terminal_size=size, run_before=before)

    def test_saving_a_template(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        async def before(pilot: Pilot[Any]) -> None:
            await form_after("ctrl+s")(pilot)
            await until(pilot, lambda: isinstance(pilot.app.screen, SaveTemplateScreen))
            await pilot.press(*"Demo")

        assert snap_compare(app_with(), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
class TestTemplates:
    def test_full(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        assert snap_compare(app_with(), terminal_size=size, run_before=templates_after("space"))

    def test_something_missing(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        assert snap_compare(
            app_with(), terminal_size=size, run_before=templates_after("j", "j", "j", "j", "j", "j", "j")
        )

    def test_empty(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        assert snap_compare(app_with(()), terminal_size=size, run_before=templates_after())

    def test_nothing_found(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        assert snap_compare(app_with(), terminal_size=size, run_before=templates_after("slash", *"zebra"))

    def test_a_report_of_refused_entries(self, snap_compare: Compare, size: tuple[int, int]) -> None:
        refused = (
            RefusedEntry(index=1, name="bad", reason="k: -1 is below its limit of 1. Recommended: 8 to 256."),
            RefusedEntry(index=4, name="\x1b[31mred", reason="name: '\\x1b[31mred' is not a name."),
        )

        async def before(pilot: Pilot[Any]) -> None:
            await templates_after()(pilot)
            await pilot.app.push_screen(ImportReportScreen(ImportResult(imported=TEMPLATES[:1], refused=refused)))
            await pilot.pause()

        assert snap_compare(app_with(), terminal_size=size, run_before=before)
