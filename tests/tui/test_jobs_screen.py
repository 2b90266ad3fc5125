"""The list of jobs by keys, on a fixed source."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest

from saetui.display.figures import number
from saetui.errors import SupervisorError
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import JobChanged, JobRemoved
from saetui.tui.app import SaetuiApp
from saetui.tui.job_order import Order, Sorting
from saetui.tui.screens.dialog import ConfirmScreen
from saetui.tui.screens.job import JobScreen
from saetui.tui.session import farewell
from saetui.tui.state import Model
from saetui.tui.widgets.job_list import COLUMNS, JobList, layout, longest_texts
from tests.tui.conftest import MakeApp
from tests.tui.fixed import FixedSource
from tests.tui.pressing import screen_text, until
from tests.tui.runs import HOSTILE_NAME, busy_home, make_job


def job_list(app: SaetuiApp) -> JobList:
    return app.screen_stack[0].query_one(JobList)


def names(app: SaetuiApp) -> list[str]:
    return [job.name for job in job_list(app).items]


def many_jobs(home: Path, count: int) -> list[Job]:
    return [make_job(home, number, Status.COMPLETED, name=f"job-{number:04d}") for number in range(count)]


async def test_cursor_keys_move_and_stay_within_the_list(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(many_jobs(tmp_path, 50))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 50)
        table = job_list(app)
        for keys, cursor in [("k", 0), ("jjj", 3), ("G", 49), ("j", 49), ("g", 0)]:
            await pilot.press(*keys)
            assert table.cursor == cursor
        await pilot.press("pagedown")
        assert 0 < table.cursor < 49


async def test_the_list_has_the_focus_as_soon_as_there_are_jobs(tmp_path: Path) -> None:
    source = FixedSource()
    app = SaetuiApp(source, theme="saetui")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "train the demo" in screen_text(app.screen))
        source.tell(JobChanged(make_job(tmp_path, 1)))
        await until(pilot, lambda: job_list(app).has_focus)


async def test_the_cursor_stays_on_its_job_when_the_order_changes(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        await pilot.press("G")
        highlighted = job_list(app).highlighted
        await pilot.press("o", "o")
        assert job_list(app).sorting == Sorting(Order.NAME)
        assert job_list(app).highlighted == highlighted


@pytest.mark.parametrize("width", [60, 80, 120, 200])
async def test_the_heading_marks_what_orders_the_list_at_every_width(
    fixed_app: MakeApp, tmp_path: Path, width: int
) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(width, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        titles = {
            "state ▲",
            "newest ▼",
            "name ▲",
            "loss ▲",
            "FVU ▲",
            "L0 ▲",
            "held FVU, L0 ▲",
            "dead ▲",
            "step ▼",
            "progress ▼",
        }
        titles |= {"tok/s ▼", "ETA ▲", "started ▼", "elapsed ▼", "architecture ▲", "model ▲", "sites ▲"}
        for _ in Order:
            heading = job_list(app).heading(width)[0].text
            # The usual order needs no mark where the states have no column.
            marks = sum(heading.count(mark) for mark in "▲▼")
            assert marks == 1 or (marks == 0 and job_list(app).sorting == Sorting()), heading
            titles -= {title for title in titles if title in heading}
            await pilot.press("o")
        assert titles <= {"state ▲"}
        await pilot.press("f3", "O")
        assert "state v" in job_list(app).heading(width)[0].text


def shows(app: SaetuiApp, text: str) -> bool:
    return text in screen_text(app.screen)


async def test_the_charts_are_those_of_the_highlighted_job(fixed_app: MakeApp, tmp_path: Path) -> None:
    jobs = [job for job in busy_home(tmp_path) if job.step]
    app = fixed_app(jobs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: job_list(app).has_focus)
        for _ in jobs:
            job = job_list(app).highlighted
            assert job is not None
            sites = "" if len(job.sites) == 1 else f"mean of {len(job.sites)} "
            wanted = f"loss  {sites}{number(job.mean_metric('loss'))}"
            await until(pilot, partial(shows, app, wanted), wanted)
            await pilot.press("j")


async def test_a_filter_narrows_the_list_and_esc_widens_it_again(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        await pilot.press("slash", *"demo")
        assert names(app) == ["demo"]
        await pilot.press("enter")
        assert job_list(app).has_focus
        await pilot.press("escape")
        assert len(names(app)) == 7


async def test_a_filter_that_finds_nothing_says_how_to_go_on(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        await pilot.press("slash", *"zzz")
        await until(pilot, lambda: "esc shows all again" in screen_text(app.screen))


async def test_stopping_is_asked_first_and_enter_means_no(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        assert len(app.screen_stack) == 1


async def test_a_refused_request_is_shown_to_be_read(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: "takes no requests" in screen_text(app.screen))


@pytest.mark.parametrize(("key", "offered"), [("S", True), ("D", False)])
async def test_only_what_can_be_done_is_offered(fixed_app: MakeApp, tmp_path: Path, key: str, offered: bool) -> None:
    app = fixed_app([make_job(tmp_path, 1, Status.RUNNING)])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: job_list(app).items)
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen) is offered


async def test_progress_is_shown_as_it_comes_and_removed_jobs_go(tmp_path: Path) -> None:
    job = make_job(tmp_path, 1, step=100)
    source = FixedSource([job])
    app = SaetuiApp(source, theme="saetui")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "5%" in screen_text(app.screen))
        source.tell(JobChanged(msgspec.structs.replace(job, step=1500, progress=0.75), progress_only=True))
        await until(pilot, lambda: "75%" in screen_text(app.screen))
        source.tell(JobRemoved(job.id))
        await until(pilot, lambda: "train the demo" in screen_text(app.screen))


async def test_a_lost_supervisor_is_said_and_old_figures_stay(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        app.lose(SupervisorError("The supervisor does not answer."))
        await until(pilot, lambda: "connecting again" in screen_text(app.screen))
        assert len(names(app)) == 7


async def test_the_wanted_job_is_highlighted(tmp_path: Path) -> None:
    jobs = many_jobs(tmp_path, 30)
    app = SaetuiApp(FixedSource(jobs), job=jobs[3].id, theme="saetui")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: (found := job_list(app).highlighted) is not None and found.id == jobs[3].id)


async def test_enter_opens_the_job_and_esc_comes_back(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
async def test_hostile_names_neither_break_the_layout_nor_arrive_raw(
    fixed_app: MakeApp, tmp_path: Path, size: tuple[int, int]
) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        strips = app.screen._compositor.render_strips()
        assert all(strip.cell_length == size[0] for strip in strips)
        text = screen_text(app.screen)
        assert HOSTILE_NAME not in text
        assert not {"\x1b", "\u202e"} & set(text)


async def test_a_filter_in_force_says_how_many_it_lists_and_the_key_that_ends_it(
    fixed_app: MakeApp, tmp_path: Path
) -> None:
    app = fixed_app(busy_home(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(job_list(app).items) == 7)
        await pilot.press("slash", *"fvu<0.1", "enter")
        assert "2 of 7  esc shows all" in screen_text(app.screen)
        await pilot.press("escape", "slash", *"fvo<0.1", "enter")
        assert "fvo has no figures; fvu, held_fvu" in screen_text(app.screen)


LONGEST = {"name": 60, "architecture": 30, "model": 30, "sites": 30}


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 250])
@pytest.mark.parametrize("longest", [LONGEST, dict.fromkeys(LONGEST, 4)], ids=["long", "short"])
def test_columns_fit_whatever_the_width(width: int, longest: dict[str, int]) -> None:
    shown = layout(width, longest)
    assert 3 + shown.name + 2 + sum(cells + 2 for _, cells in shown.columns) + 15 <= max(width, 36)
    assert shown.name >= 16


def test_the_most_important_columns_are_the_last_to_go() -> None:
    assert [column.title for column, _ in layout(60, LONGEST).columns] == ["loss", "FVU"]
    assert len(layout(250, LONGEST).columns) == len(COLUMNS)


def test_a_wide_window_shows_names_whole_and_where_each_job_trains(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, 1, name="tiny-l1-resid_post-batch_topk", layers=(1,))]
    shown = layout(200, longest_texts(jobs))
    assert shown.name == len(jobs[0].name)
    assert {"model", "sites", "step", "state", "elapsed"} <= {column.title for column, _ in shown.columns}


def test_leaving_says_what_goes_on(tmp_path: Path) -> None:
    model = Model()
    assert "No job is running" in farewell(model)
    running, queued = make_job(tmp_path, 1, name="demo"), make_job(tmp_path, 2, Status.QUEUED)
    model.jobs = {job.id: job for job in (running, queued)}
    assert farewell(model).startswith("1 job running (demo) and 1 queued: the training goes on")
