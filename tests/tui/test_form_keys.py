"""Keys of the form that do not type: ranges of layers, the estimate in full, and copies."""

from __future__ import annotations

from pathlib import Path

import msgspec

from saetui.tui.app import SaetuiApp
from saetui.tui.screens.estimate import EstimateScreen
from saetui.tui.screens.layer_range import LayerRangeScreen
from saetui.tui.screens.new_training import NewTrainingScreen
from tests.tui.fixed import FixedSource
from tests.tui.forms import FormReader, make_model, small_spec, until
from tests.tui.runs import busy_home
from tests.tui.test_new_training import open_form, placeholder


class TestLayers:
    async def test_a_range_is_typed(self, tmp_path: Path) -> None:
        make_model(tmp_path / "deep", layers=24)
        async with open_form(small_spec(tmp_path) | {"model": str(tmp_path / "deep")}) as form:
            await form.go_to("layers")
            await form.pilot.press("r")
            await until(form.pilot, lambda: isinstance(form.pilot.app.screen, LayerRangeScreen))
            await form.pilot.press(*"0-23:8,3", "enter")
            await form.settled()
            assert form.layers.chosen == (0, 3, 8, 16)
            assert form.screen.draft.raw()["layers"] == [0, 3, 8, 16]

    async def test_a_range_beyond_the_model_is_explained_and_not_taken(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("layers")
            await form.pilot.press("r", *"0-6", "enter")
            screen = form.pilot.app.screen
            assert isinstance(screen, LayerRangeScreen)
            note = str(screen.query_one(".dialog-note").render())
            assert "no layer 6" in note and "0 to 5" in note
            await form.pilot.press("escape")
            await form.settled()
            assert form.layers.chosen == (3,)

    async def test_the_others_and_every_other(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.go_to("layers")
            await form.pilot.press("i")
            others = form.layers.chosen
            await form.pilot.press("right", "e")
            assert (others, form.layers.chosen) == ((0, 1, 2, 4, 5), (1, 3, 5))

    async def test_a_choice_stays_where_the_form_is_drawn_before_it_has_heard_of_it(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            for grid, chosen in ((form.layers, (0, 3)), (form.hook_points, ("resid_pre", "resid_post"))):
                grid.action_select_item()
                form.screen.show_model()  # news of the device, or the end of an earlier check
                await form.settled()
                assert grid.chosen == chosen
            assert form.screen.draft.raw()["layers"] == [0, 3]
            assert form.screen.draft.raw()["hook_points"] == ["resid_pre", "resid_post"]


class TestLengthOfTheRun:
    async def test_steps_follow_from_passes(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.fill(num_epochs="40")
            # 9,000 bytes are about 2,250 tokens; 40 times that are 90,000, in batches of 4,096.
            assert placeholder(form, "num_steps") == "≈ 22"
            assert placeholder(form, "num_tokens") == "≈ 90,112"

    async def test_passes_follow_from_tokens_whatever_else_is_wrong(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.fill(k="many", batch_size="1000", num_tokens="9000")
            assert not form.ready
            assert placeholder(form, "num_steps") == "9"
            assert placeholder(form, "num_epochs") == "≈ 4"

    async def test_nothing_follows_from_a_batch_size_that_is_wrong(self, tmp_path: Path) -> None:
        async with open_form(small_spec(tmp_path)) as form:
            await form.fill(num_tokens="90000", batch_size="x")
            assert placeholder(form, "num_steps") == "100000"


async def test_the_memory_is_shown_part_by_part(tmp_path: Path) -> None:
    async with open_form(small_spec(tmp_path)) as form:
        await form.pilot.press("f6")
        await until(form.pilot, lambda: isinstance(form.pilot.app.screen, EstimateScreen))
        screen = form.pilot.app.screen
        assert isinstance(screen, EstimateScreen)
        lines = screen.text_to_copy().splitlines()
        shares = [float(line.split()[-2 if line.endswith(" %") else -1].rstrip("%")) for line in lines if "%" in line]
        assert shares[-1] == 100.0 and abs(sum(shares[:-1]) - 100) < 1
        assert shares[:-1] == sorted(shares[:-1], reverse=True)
        assert any(line.startswith("free now") and "it fits" in line for line in lines)
        await form.pilot.press("escape")
        await until(form.pilot, lambda: isinstance(form.pilot.app.screen, NewTrainingScreen))
        await form.fill(k="x")
        await form.pilot.press("f6")
        assert isinstance(form.pilot.app.screen, NewTrainingScreen), "there is no estimate of a form that is wrong"


class TestCopies:
    async def test_the_name_of_a_copied_job_gets_the_next_number(self, tmp_path: Path) -> None:
        jobs = [
            msgspec.structs.replace(job, name=name)
            for job, name in zip(busy_home(tmp_path / "home"), ("mine", "mine_2", "other"))
        ]
        for name, expected in (("mine", "mine_3"), ("mine_2", "mine_3"), ("free", "free"), ("other", "other_2")):
            async with open_form(small_spec(tmp_path, name=name), source=FixedSource(jobs)) as form:
                assert form.screen.draft.text("name") == expected

    async def test_a_copy_that_was_not_changed_does_not_become_the_next_form(self, tmp_path: Path) -> None:
        spec = small_spec(tmp_path, hyperparameters={"k": 16})
        async with open_form(spec) as form:
            app = form.pilot.app
            assert isinstance(app, SaetuiApp)
            await leave(form)
            assert app.kept_draft is None
            app.open_form(spec)
            await until(form.pilot, lambda: isinstance(app.screen, NewTrainingScreen))
            await form.settled()
            await form.fill(k="8")
            await leave(form)
            assert app.kept_draft is not None and app.kept_draft.raw()["hyperparameters"] == {"k": 8}


async def leave(form: FormReader) -> None:
    await form.pilot.press("escape")
    await until(form.pilot, lambda: not isinstance(form.pilot.app.screen, NewTrainingScreen))
