"""Templates, driven by keys against a real supervisor and its store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from saetui.client.link import Link
from saetui.home import Home
from saetui.jobs.templates import BUILTIN_TEMPLATES, Template
from saetui.protocol.messages import SaveTemplate
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.dialog import ConfirmScreen
from saetui.tui.screens.file_path import FilePathScreen, ImportReportScreen
from saetui.tui.screens.new_training import NewTrainingScreen
from saetui.tui.screens.save_template import SaveTemplateScreen
from saetui.tui.screens.templates import TemplatesScreen
from saetui.tui.widgets.template_list import TemplateList
from saetui.tui.widgets.template_preview import TemplatePreview
from tests.tui.fixed import FixedSource
from tests.tui.forms import FormReader, text_of, until

SPEC = {"architecture": "topk", "hyperparameters": {"k": 16, "expansion_factor": 4}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Templates:
    """The screen of templates as its user sees it."""

    def __init__(self, pilot: Pilot[Any], app: SaetuiApp) -> None:
        self.pilot = pilot
        self.app = app

    @property
    def rows(self) -> TemplateList:
        return self.app.screen_stack[-1].query_one(TemplateList)

    @property
    def names(self) -> list[str]:
        return [template.name for template in self.app.model.templates if not template.builtin]

    @property
    def shown(self) -> list[str]:
        return [template.name for template in self.rows.items]

    @property
    def preview(self) -> str:
        return text_of(self.app.screen.query_one(TemplatePreview))

    def named(self, name: str) -> Template:
        return next(template for template in self.app.model.templates if template.name == name)

    async def until(self, condition: Any) -> None:
        await until(self.pilot, condition)

    async def to(self, screen: type[object]) -> None:
        await until(self.pilot, lambda: isinstance(self.app.screen, screen))

    async def highlight(self, name: str) -> None:
        await self.pilot.press("g")
        for _ in self.rows.items:
            if self.rows.highlighted is not None and self.rows.highlighted.name == name:
                return
            await self.pilot.press("j")
        raise AssertionError(f"{name} is not in {self.shown}")


@asynccontextmanager
async def live_templates(home: Home, *saved: str) -> AsyncIterator[Templates]:
    app = SaetuiApp(Link(home.make()), theme="saetui")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.model.templates != ())
        for name in saved:
            await app.request(SaveTemplate(SPEC, name, f"about {name}"))
        screen = Templates(pilot, app)
        await until(pilot, lambda: set(saved) <= set(screen.names))
        app.open_templates()
        await screen.to(TemplatesScreen)
        await until(pilot, lambda: screen.shown != [])
        yield screen


@asynccontextmanager
async def fixed_templates(templates: Sequence[Template] = BUILTIN_TEMPLATES) -> AsyncIterator[Templates]:
    app = SaetuiApp(FixedSource(templates=templates), theme="saetui")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.model.templates == tuple(templates))
        app.open_templates()
        screen = Templates(pilot, app)
        await screen.to(TemplatesScreen)
        yield screen


class TestLooking:
    async def test_the_highlighted_one_is_shown_in_full(self) -> None:
        async with fixed_templates() as screen:
            await screen.highlight("Gemma 2 2B on a Jetson")
            assert "built in, read-only" in screen.preview
            assert "google/gemma-2-2b" in screen.preview
            assert "16,384 latents" in screen.preview

    async def test_a_model_that_is_not_here_is_flagged(self) -> None:
        gone = Template(
            id="t1",
            name="old",
            spec={"model": "gone/model"},
            missing=("model",),
            created_at="2026-01-01",
            updated_at="",
        )
        async with fixed_templates([gone]) as screen:
            assert "Its model is not on this machine" in screen.preview

    async def test_search_narrows_and_escape_shows_all_again(self) -> None:
        async with fixed_templates() as screen:
            await screen.pilot.press("slash", *"jetson")
            await screen.pilot.pause()
            assert screen.shown == ["Gemma 2 2B on a Jetson"]
            await screen.pilot.press("escape")
            await screen.pilot.pause()
            assert len(screen.shown) == len(BUILTIN_TEMPLATES)

    async def test_a_search_that_finds_nothing_says_so(self) -> None:
        async with fixed_templates() as screen:
            await screen.pilot.press("slash", *"zebra")
            await screen.pilot.pause()
            assert "no template contains “zebra”" in text_of(screen.rows)

    async def test_without_any_it_says_what_to_do(self) -> None:
        async with fixed_templates(()) as screen:
            assert "no templates yet" in text_of(screen.rows)


class TestUsing:
    async def test_enter_opens_the_form_filled(self) -> None:
        async with fixed_templates() as screen:
            await screen.highlight("GPT-2 small")
            await screen.pilot.press("enter")
            await screen.to(NewTrainingScreen)
            form = screen.app.screen
            assert isinstance(form, NewTrainingScreen)
            assert form.draft.text("model") == "openai-community/gpt2"
            assert form.draft.raw()["layers"] == [6]
            assert form.draft.template == "builtin-gpt2"
            await screen.pilot.press("escape")
            await screen.to(TemplatesScreen)


class TestChanging:
    async def test_favourites_come_first_and_undo_takes_it_back(self, home: Home) -> None:
        async with live_templates(home, "alpha", "beta") as screen:
            before = screen.shown
            await screen.highlight("beta")
            await screen.pilot.press("f")
            await screen.until(lambda: screen.shown[0] == "beta")
            await screen.pilot.press("z")
            await screen.until(lambda: screen.shown == before)

    async def test_a_copy_gets_a_name_of_its_own(self, home: Home) -> None:
        async with live_templates(home, "alpha") as screen:
            await screen.highlight("alpha")
            await screen.pilot.press("d")
            await screen.until(lambda: len(screen.names) == 2)
            copy = next(name for name in screen.names if name != "alpha")
            assert screen.named(copy).spec == SPEC
            await screen.until(lambda: screen.rows.highlighted == screen.named(copy))
            await screen.pilot.press("z")
            await screen.until(lambda: screen.names == ["alpha"])

    async def test_rename_changes_name_and_description(self, home: Home) -> None:
        async with live_templates(home, "alpha") as screen:
            await screen.highlight("alpha")
            await screen.pilot.press("r")
            await screen.to(SaveTemplateScreen)
            await screen.pilot.press("ctrl+u", *"omega", "tab", "ctrl+u", *"the last", "enter")
            await screen.until(lambda: screen.names == ["omega"])
            assert screen.named("omega").description == "the last"
            await screen.pilot.press("z")
            await screen.until(lambda: screen.names == ["alpha"])
            assert screen.named("alpha").description == "about alpha"

    async def test_a_bad_name_is_refused_while_it_is_typed(self, home: Home) -> None:
        async with live_templates(home, "alpha") as screen:
            await screen.highlight("alpha")
            await screen.pilot.press("r")
            await screen.to(SaveTemplateScreen)
            await screen.pilot.press("ctrl+u", "slash", "enter")
            await screen.pilot.pause()
            assert isinstance(screen.app.screen, SaveTemplateScreen)
            await screen.pilot.press("escape")
            await screen.to(TemplatesScreen)
            assert screen.names == ["alpha"]

    async def test_delete_asks_and_undo_brings_it_back_whole(self, home: Home) -> None:
        async with live_templates(home, "alpha", "beta") as screen:
            await screen.highlight("alpha")
            alpha = screen.named("alpha")
            await screen.pilot.press("D")
            await screen.to(ConfirmScreen)
            await screen.pilot.press("enter")
            await screen.to(TemplatesScreen)
            assert "alpha" in screen.names, "the dialog starts on Keep"
            await screen.pilot.press("D")
            await screen.to(ConfirmScreen)
            await screen.pilot.press("y")
            await screen.until(lambda: screen.names == ["beta"])
            await screen.to(TemplatesScreen)
            await screen.pilot.press("z")
            await screen.until(lambda: "alpha" in screen.names)
            assert screen.named("alpha") == alpha

    async def test_a_built_in_one_is_read_only_but_can_be_copied(self, home: Home) -> None:
        async with live_templates(home) as screen:
            await screen.highlight("Demo")
            await screen.pilot.press("D")
            await screen.pilot.press("r")
            await screen.pilot.pause()
            assert isinstance(screen.app.screen, TemplatesScreen)
            await screen.pilot.press("d")
            await screen.until(lambda: len(screen.names) == 1)


class TestFiles:
    async def test_what_was_exported_comes_in_again(self, home: Home, folder: Path) -> None:
        file = folder / "out.json"
        async with live_templates(home, "alpha", "beta") as screen:
            await screen.highlight("alpha")
            await screen.pilot.press("space")
            await screen.highlight("beta")
            await screen.pilot.press("space", "e")
            await screen.to(FilePathScreen)
            await screen.pilot.press("ctrl+u", *file.name, "enter")
            await screen.until(file.exists)
            assert {entry["name"] for entry in json.loads(file.read_text())["templates"]} == {"alpha", "beta"}
            await screen.to(TemplatesScreen)
            await screen.pilot.press("i")
            await screen.to(FilePathScreen)
            await screen.pilot.press(*file.name, "enter")
            await screen.until(lambda: sorted(screen.names) == ["alpha", "alpha_2", "beta", "beta_2"])
            await screen.to(TemplatesScreen)
            await screen.pilot.press("z")
            await screen.until(lambda: sorted(screen.names) == ["alpha", "beta"])

    async def test_refused_entries_are_listed_with_their_reasons(self, home: Home, folder: Path) -> None:
        file = folder / "mixed.json"
        entries = [{"name": "good", "spec": SPEC}, {"name": "bad", "spec": {"hyperparameters": {"k": -1}}}]
        file.write_text(json.dumps({"format": "saetui-templates", "version": 1, "templates": entries}))
        async with live_templates(home) as screen:
            await screen.pilot.press("i")
            await screen.to(FilePathScreen)
            await screen.pilot.press(*file.name, "enter")
            await screen.to(ImportReportScreen)
            report = screen.app.screen
            assert isinstance(report, ImportReportScreen)
            assert [
                line.startswith("2. bad: k: -1 is below its limit of 1") for line in report.text_to_copy().splitlines()
            ] == [True]
            await screen.pilot.press("escape")
            await screen.until(lambda: screen.names == ["good"])

    async def test_a_file_that_is_none_is_one_clear_error(self, home: Home, folder: Path) -> None:
        file = folder / "no.json"
        file.write_text("not json")
        async with live_templates(home) as screen:
            await screen.pilot.press("i")
            await screen.to(FilePathScreen)
            await screen.pilot.press(*"/no/such", "enter")
            await screen.pilot.pause()
            assert isinstance(screen.app.screen, FilePathScreen), "the path can be corrected in place"
            await screen.pilot.press("ctrl+u", *file.name, "enter")
            await screen.until(lambda: type(screen.app.screen).__name__ == "ErrorScreen")
            assert screen.names == []


async def open_own(screen: Templates) -> FormReader:
    """The form with the user's one template."""
    await screen.highlight(screen.names[0])
    await screen.pilot.press("enter")
    await screen.to(NewTrainingScreen)
    form = FormReader(screen.pilot)
    await form.settled()
    return form


async def test_a_template_of_ones_own_is_changed_through_the_form_and_the_change_undone(home: Home) -> None:
    async with live_templates(home, "mine") as screen:
        form = await open_own(screen)
        await form.fill(k="48")
        await screen.pilot.press("ctrl+s")
        await screen.to(SaveTemplateScreen)
        assert "gets these settings" in str(screen.app.screen.query_one("#name-note").render())
        await screen.pilot.press("enter")
        await screen.until(lambda: screen.named("mine").spec["hyperparameters"]["k"] == 48)
        assert screen.names == ["mine"]
        await screen.pilot.press("escape")
        await screen.to(TemplatesScreen)
        await screen.pilot.press("z")
        await screen.until(lambda: screen.named("mine").spec["hyperparameters"]["k"] == 16)


async def test_another_name_makes_another_template(home: Home) -> None:
    async with live_templates(home, "mine") as screen:
        await open_own(screen)
        await screen.pilot.press("ctrl+s")
        await screen.to(SaveTemplateScreen)
        await screen.pilot.press("ctrl+u", *"second", "enter")
        await screen.until(lambda: sorted(screen.names) == ["mine", "second"])
        assert screen.named("mine").spec == SPEC
