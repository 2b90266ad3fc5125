"""New training, driven by keys: filling the form, and what it says while one types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from saetui.jobs.templates import BUILTIN_TEMPLATES, Template
from saetui.protocol.messages import CannotTrain, DeviceChanged
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.new_training import NewTrainingScreen
from saetui.tui.screens.pick import PickScreen
from saetui.tui.widgets.field_help import FieldHelp
from saetui.tui.widgets.field_row import FieldRow
from saetui.tui.widgets.form_section import FoldRow
from saetui.tui.widgets.inputs import FieldInput
from saetui.tui.widgets.start_row import StartRow
from saetui.tui.widgets.training_summary import TrainingSummary
from tests.tui.fixed import DEVICE, FixedSource
from tests.tui.forms import FormReader, make_model, small_spec, text_of, until


@asynccontextmanager
async def open_form(
    spec: dict[str, Any],
    templates: tuple[Template, ...] = BUILTIN_TEMPLATES,
    size: tuple[int, int] = (120, 50),
    source: FixedSource | None = None,
) -> AsyncIterator[FormReader]:
    app = SaetuiApp(source or FixedSource(templates=templates), theme="saetui")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.model.known and (source is not None or app.model.templates == templates))
        app.open_form(spec)
        await until(pilot, lambda: isinstance(app.screen, NewTrainingScreen))
        form = FormReader(pilot)
        await form.settled()
        yield form


class TestFilling:
    async def test_an_empty_form_trains_the_middle_layer_and_is_ready(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            assert form.ready
            assert form.layers.chosen == (3,)
            assert form.hook_points.chosen == ("resid_post",)

    async def test_typing_in_a_field_triggers_no_key_of_the_screen(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("name")
            await form.type("quiet job n5")
            assert form.screen.draft.text("name") == "quiet job n5"
            assert form.screen.draft.raw()["name"] == "quiet job n5"

    async def test_the_keyboard_reaches_every_field_and_the_start(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            wanted = {row.info.field for row in form.screen.query(FieldRow)} | {"layers", "hook_points"}
            reached = set()
            for _ in range(40):
                reached.add(form.focused)
                if isinstance(form.screen.focused, StartRow):
                    break
                await form.pilot.press("down")
            assert wanted <= reached
            assert isinstance(form.screen.focused, StartRow)

    async def test_pages_go_from_section_to_section(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            stops = [form.focused]
            for _ in range(7):
                await form.pilot.press("pagedown")
                stops.append(form.focused)
            assert stops[:3] == ["model", "hook_points", "architecture"]
            assert stops[-2:] == ["name", None], "the last stop is the start"
            await form.pilot.press("pageup")
            assert form.focused == "name"

    async def test_help_is_in_reach_of_a_number_field(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("batch_size")
            await form.pilot.press("question_mark")
            await until(form.pilot, lambda: not isinstance(form.pilot.app.screen, NewTrainingScreen))
            await form.pilot.press("escape")
            await form.pilot.pause()
            assert form.screen.draft.text("hyperparameters.batch_size") == ""

    async def test_what_is_left_empty_is_left_to_the_defaults(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("k")
            await form.type("16")
            assert form.screen.draft.raw()["hyperparameters"] == {"k": 16}

    async def test_the_focused_field_is_explained(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("expansion_factor")
            await form.pilot.pause()
            said = text_of(form.screen.query_one(FieldHelp))
            assert "expansion_factor" in said
            assert "2 to 32" in said
            assert "× d_in" in said
            assert "default  8" in said

    async def test_a_default_comes_back_by_key(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("k")
            await form.type("16")
            await form.pilot.press("ctrl+r")
            assert form.screen.draft.raw()["hyperparameters"] == {}

    async def test_a_model_is_picked_or_typed_in_a_list(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        spec = small_spec(tmp_path)
        make_model(tmp_path / "other", layers=12)
        async with open_form(spec) as form:
            await form.go_to("model")
            await form.pilot.press("enter")
            await until(form.pilot, lambda: isinstance(form.pilot.app.screen, PickScreen))
            await form.pilot.press(*"./other")
            await form.pilot.press("enter")
            await until(form.pilot, lambda: isinstance(form.pilot.app.screen, NewTrainingScreen))
            await form.settled()
            assert form.screen.draft.text("model") == "./other"
            assert form.layers.items == tuple(range(12))
            assert form.layers.chosen == (6,)


class TestLinkedFields:
    async def test_setting_one_shows_what_the_other_comes_to(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("expansion_factor")
            await form.type("16")
            assert placeholder(form, "latent_dim") == "1024"
            await form.go_to("num_tokens")
            await form.type("8M")
            assert placeholder(form, "num_steps") == "1954"
            await form.go_to("top_k_sparsity")
            await form.type("5")
            assert placeholder(form, "k") == "51"

    async def test_setting_the_other_empties_the_first(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("expansion_factor")
            await form.type("16")
            await form.go_to("latent_dim")
            await form.type("640")
            assert form.screen.draft.raw()["hyperparameters"] == {"latent_dim": 640}
            assert placeholder(form, "expansion_factor") == "10"

    async def test_a_run_in_passes_does_not_pretend_to_know_its_steps(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("num_epochs")
            await form.type("2")
            summary = text_of(form.screen.query_one(TrainingSummary))
            assert "once the text is read" in summary
            assert "512 × 64" in summary


class TestArchitecture:
    async def test_each_shows_only_the_rows_that_it_uses(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            assert form.row("k") is not None
            assert form.row("l1_alpha") is None
            await form.go_to("architecture")
            await form.pilot.press("left")
            await form.pilot.pause()
            assert form.screen.draft.raw()["architecture"] == "standard"
            assert form.row("k") is None
            assert form.row("l1_alpha") is not None

    async def test_trying_another_loses_nothing(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("k")
            await form.type("16")
            await form.go_to("architecture")
            await form.pilot.press("left")
            await form.pilot.pause()
            assert form.screen.draft.raw()["hyperparameters"] == {}
            await form.pilot.press("right")
            await form.pilot.pause()
            assert form.screen.draft.raw()["hyperparameters"] == {"k": 16}

    async def test_advanced_rows_are_folded_away_until_asked_for(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            assert form.row("aux_k") is None
            await form.pilot.press("ctrl+t")
            await form.pilot.pause()
            assert form.row("aux_k") is not None
            assert form.row("optimizer") is not None
            await form.pilot.press("ctrl+t")
            await form.pilot.pause()
            assert form.row("aux_k") is None

    async def test_one_section_opens_by_itself(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("learning_rate")
            await form.pilot.press("down")
            assert isinstance(form.screen.focused, FoldRow)
            await form.pilot.press("enter")
            await form.pilot.pause()
            assert form.row("optimizer") is not None
            assert form.row("aux_k") is None

    async def test_a_folded_section_says_how_many_are_set(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path, hyperparameters={"aux_k": 7})) as form:
            assert any("5 more, 1 set" in text_of(fold) for fold in form.screen.query(FoldRow))


class TestErrors:
    async def test_stand_under_their_field_while_typing(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("batch_size")
            await form.type("many")
            assert "many must be a whole number" in form.line("batch_size")
            await form.type("0")
            assert "0 is below its limit of 1" in form.line("batch_size")
            await form.type("1024")
            assert "limit" not in form.line("batch_size")

    async def test_a_warning_is_shown_and_accepted(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("batch_size")
            await form.type("100")
            assert "outside the recommended range" in form.line("batch_size")
            await form.settled()
            assert form.ready
            assert form.form.start.state.words() == "ready, 1 warning"

    async def test_what_the_machine_lacks_is_said_too(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("model")
            await form.type("/nowhere/at-all")
            await form.settled()
            assert not form.ready
            assert "There is no model directory" in form.line("model")
            await form.go_to("context_length")
            await form.type("999999")
            await form.pilot.pause()
            assert "There is no model directory" in form.line("model"), (
                "it is still wrong while something else is typed"
            )

    async def test_all_are_counted_and_the_first_bad_field_is_focused(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("batch_size")
            await form.type("0")
            await form.go_to("learning_rate")
            await form.type("x")
            await form.go_to("name")
            await form.pilot.press("ctrl+g")
            await until(form.pilot, lambda: form.form.start.state.words() == "2 errors to correct")
            await until(form.pilot, lambda: form.focused == "hyperparameters.batch_size")

    async def test_a_folded_field_opens_when_it_is_wrong(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path, hyperparameters={"aux_k": 0})) as form:
            assert form.row("aux_k") is None
            await form.pilot.press("ctrl+g")
            await until(form.pilot, lambda: form.focused == "hyperparameters.aux_k")
            assert "below its limit" in form.line("aux_k")

    async def test_more_active_latents_than_there_are(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("k")
            await form.type("600")
            await form.settled()
            assert not form.ready
            assert "more than the 512 latents" in form.line("k")


class TestAMachineThatCannotTrain:
    async def test_the_reason_stands_in_place_of_ready_and_what_to_type_beside_it(self, tmp_path: Path) -> None:
        reason = "transformers 5.24.0 needs torch 2.6 or later, and torch 2.5.1 is installed."
        found = CannotTrain(message=reason, suggestion='Type: pip install "transformers<5"')
        source = FixedSource()
        async with open_form(small_spec(tmp_path), source=source) as form:
            assert form.ready
            source.tell(DeviceChanged(msgspec.structs.replace(DEVICE, cannot_train=found)))
            await until(form.pilot, lambda: not form.ready)
            assert form.form.start.state.words() == reason
            shown = " ".join(text_of(form.screen.query_one(FieldHelp)).split())
            assert 'Type: pip install "transformers<5"' in shown
            source.tell(DeviceChanged(DEVICE))
            await until(form.pilot, lambda: form.ready)


class TestLayers:
    async def test_all_none_and_the_count(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("layers")
            await form.pilot.press("a")
            assert "(6 selected)" in text_of(form.layers)
            assert "6 layers" in text_of(form.layers), "above four there is a hint"
            await form.pilot.press("x")
            await form.pilot.pause()
            assert "(0 selected)" in text_of(form.layers)
            assert "no layer is selected" in text_of(form.layers)
            assert not form.ready
            await form.pilot.press("home", "l", "space")
            await form.settled()
            assert form.screen.draft.raw()["layers"] == [1]
            assert form.ready

    async def test_layers_that_another_model_lacks_are_shown_as_wrong(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path, layers=[2, 9])) as form:
            assert not form.ready
            assert "has no layer 9" in text_of(form.layers)
            await form.go_to("layers")
            await form.pilot.press("right", "right", "right", "right", "right", "right", "space")
            await form.settled()
            assert form.screen.draft.raw()["layers"] == [2]
            assert form.ready

    async def test_the_summary_counts_saes(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("layers")
            await form.pilot.press("a")
            await form.go_to("hook_points")
            await form.pilot.press("space")
            await form.settled()
            summary = text_of(form.screen.query_one(TrainingSummary))
            assert "12 × 512 × 64" in summary
            assert "410M" in summary


class TestLoading:
    async def test_a_copy_of_a_complete_spec_leaves_open_what_only_follows(self, tmp_path: Path) -> None:
        spec = small_spec(tmp_path, hyperparameters={"num_steps": 2000, "warmup_steps": 20, "k": 32, "keep_best": True})
        async with open_form(spec) as form:
            assert form.screen.draft.raw()["hyperparameters"] == {"num_steps": 2000}

    async def test_a_copy_does_not_keep_a_name_that_nobody_typed(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path, layers=[2], name="model-l2-topk_3")) as form:
            assert "name" not in form.screen.draft.raw()
        async with open_form(small_spec(tmp_path, layers=[2], name="my own")) as form:
            assert form.screen.draft.raw()["name"] == "my own"

    async def test_a_template_fills_the_form_and_undo_brings_back_what_was_there(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("k")
            await form.type("16")
            await form.pilot.press("ctrl+o")
            await until(form.pilot, lambda: isinstance(form.pilot.app.screen, PickScreen))
            await form.pilot.press(*"gemma", "enter")
            await until(form.pilot, lambda: isinstance(form.pilot.app.screen, NewTrainingScreen))
            await form.settled()
            assert form.screen.draft.text("model") == "google/gemma-2-2b"
            assert form.screen.draft.raw()["hyperparameters"]["latent_dim"] == 16384
            assert form.screen.draft.raw()["dataset"]["source"] == str(tmp_path / "text.txt"), (
                "the text that was typed stays"
            )
            await form.pilot.press("ctrl+z")
            await form.settled()
            assert form.screen.draft.raw()["hyperparameters"] == {"k": 16}

    async def test_the_bundled_text_of_a_template_of_ones_own_is_meant(self, tmp_path: Path) -> None:
        spec = {"model": str(make_model(tmp_path / "big")), "dataset": {"source": "bundled:stdlib"}}
        own = Template(id="own", name="mine", spec=spec, created_at="2026-01-01", updated_at="2026-01-01")
        async with open_form(small_spec(tmp_path), (*BUILTIN_TEMPLATES, own)) as form:
            await form.pilot.press("ctrl+o", *"mine", "enter")
            await until(form.pilot, lambda: isinstance(form.pilot.app.screen, NewTrainingScreen))
            await form.settled()
            assert form.screen.draft.text("dataset.source") == "bundled:stdlib"

    async def test_escape_sequences_of_a_template_never_reach_the_terminal(self) -> None:
        spec = {"model": "\x1b[31mred\u202e", "dataset": {"source": "two\nlines"}}
        async with open_form(spec) as form:
            shown = [strip.text for strip in form.pilot.app.screen._compositor.render_strips()]
            assert any("·[31mred·" in line for line in shown)
            assert not any(letter in line for line in shown for letter in "\x1b\u202e\n")

    async def test_leaving_keeps_what_was_typed(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            app = form.pilot.app
            assert isinstance(app, SaetuiApp)
            await form.go_to("k")
            await form.type("24")
            await form.pilot.press("escape")
            await until(form.pilot, lambda: not isinstance(app.screen, NewTrainingScreen))
            app.open_form()
            await until(form.pilot, lambda: isinstance(app.screen, NewTrainingScreen))
            assert form.screen.draft.raw()["hyperparameters"] == {"k": 24}


def placeholder(form: FormReader, field: str) -> str:
    row = form.row(field)
    assert row is not None
    return str(row.query_one(FieldInput).placeholder)
