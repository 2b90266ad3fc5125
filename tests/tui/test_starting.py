"""The start of a training from the form, with a real supervisor; and the form saved as a template."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key

from saetui.client.link import Link
from saetui.home import Home
from saetui.tui.app import SaetuiApp
from saetui.tui.draft_check import DraftCheck, check_draft
from saetui.tui.screens import new_training
from saetui.tui.screens.new_training import NewTrainingScreen
from saetui.tui.screens.save_template import SaveTemplateScreen
from tests.tui.forms import FormReader, small_spec, until

starts = pytest.mark.skipif(find_spec("torch") is None, reason="nothing starts without torch; make test runs it")


@asynccontextmanager
async def live_form(home: Home, spec: dict[str, Any]) -> AsyncIterator[FormReader]:
    app = SaetuiApp(Link(home.make()), theme="saetui")
    async with app.run_test(size=(120, 50)) as pilot:
        await until(pilot, lambda: app.model.templates != ())
        app.open_form(spec)
        await until(pilot, lambda: isinstance(app.screen, NewTrainingScreen))
        form = FormReader(pilot)
        await form.settled()
        yield form


@starts
async def test_the_job_is_queued_and_appears(home: Home, tmp_path: Path) -> None:
    spec = small_spec(tmp_path)
    async with live_form(home, spec) as form:
        await form.go_to("name")
        await form.type("from keys")
        await form.go_to("k")
        await form.type("16")
        await form.pilot.press("ctrl+g")
        app = form.pilot.app
        assert isinstance(app, SaetuiApp)
        await until(form.pilot, lambda: not isinstance(app.screen, NewTrainingScreen))
        await until(form.pilot, lambda: [job.name for job in app.model.jobs.values()] == ["from keys"])
        job = next(iter(app.model.jobs.values()))
        assert job.layers == (3,)


@starts
async def test_keys_typed_while_the_start_waits_for_the_check_change_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come after the start: the form is gone by then, and `8` and `x` mean nothing to the list of jobs."""

    checking, typed = threading.Event(), threading.Event()
    typed.set()

    def check_when_typed(*known: Any) -> DraftCheck:
        checking.set()
        assert typed.wait(60)
        return check_draft(*known)

    monkeypatch.setattr(new_training, "check_draft", check_when_typed)
    async with live_form(home, small_spec(tmp_path)) as form:
        await form.go_to("name")
        app = form.pilot.app
        assert isinstance(app, SaetuiApp)
        checking.clear()
        typed.clear()
        for key in ("n", "m", "ctrl+g", "8", "x"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(form.pilot, checking.is_set)
        typed.set()
        await until(form.pilot, lambda: not isinstance(app.screen, NewTrainingScreen))
        await until(form.pilot, lambda: app.key_queue.at_rest and app.model.jobs)
        assert [job.name for job in app.model.jobs.values()] == ["nm"]


@starts
async def test_the_button_at_the_end_starts_too(home: Home, tmp_path: Path) -> None:
    async with live_form(home, small_spec(tmp_path)) as form:
        form.form.start.focus()
        await form.pilot.press("enter")
        app = form.pilot.app
        assert isinstance(app, SaetuiApp)
        await until(form.pilot, lambda: len(app.model.jobs) == 1)


@starts
async def test_a_refusal_comes_back_into_the_form(home: Home, tmp_path: Path) -> None:
    async with live_form(home, small_spec(tmp_path)) as form:
        await form.go_to("k")
        await form.type("16")
        await form.settled()
        shutil.rmtree(tmp_path / "model")
        await form.pilot.press("ctrl+g")
        await until(form.pilot, lambda: "no model directory" in form.line("model"))
        assert form.focused == "model"
        assert form.screen.draft.raw()["hyperparameters"] == {"k": 16}


async def test_the_form_is_saved_as_a_template(home: Home, tmp_path: Path) -> None:
    async with live_form(home, small_spec(tmp_path)) as form:
        await form.go_to("k")
        await form.type("16")
        await form.pilot.press("ctrl+s")
        app = form.pilot.app
        assert isinstance(app, SaetuiApp)
        await until(form.pilot, lambda: isinstance(app.screen, SaveTemplateScreen))
        await form.pilot.press(*"mine", "enter")
        await until(form.pilot, lambda: any(template.name == "mine" for template in app.model.templates))
        saved = next(template for template in app.model.templates if template.name == "mine")
        assert saved.spec["hyperparameters"] == {"k": 16}
        assert saved.spec["model"] == str(tmp_path / "model")
