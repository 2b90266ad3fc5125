"""Pictures of the live screens, empty, full and in error: a change of look is seen before it is shipped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from saetui.errors import SupervisorError
from saetui.formats import times
from saetui.jobs.job import Job, JobError, Status
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.job import JobScreen
from saetui.tui.screens.jobs import JobsScreen
from saetui.tui.widgets.chart_grid import ChartGrid
from saetui.tui.widgets.job_list import JobList
from saetui.tui.widgets.job_notice import JobNotice
from saetui.tui.widgets.text_pane import TextView
from tests.tui.conftest import MakeApp
from tests.tui.pressing import screen_text, until
from tests.tui.runs import RunMaker, busy_home, make_job, restless_home

Compare = Callable[..., bool]
Ready = Callable[[Pilot[Any]], Awaitable[None]]

sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")


@pytest.fixture(autouse=True)
def at_half_past_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a job has run is drawn too."""
    monkeypatch.setattr(times, "utc_now", lambda: times.parse("2026-11-21T10:30:00Z"))


def pressing(*keys: str, then: Callable[[SaetuiApp], object] | None = None, charts: bool = True) -> Ready:
    """Wait for the jobs (and their charts), press keys, and wait for what they bring."""

    async def ready(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, SaetuiApp)
        await until(pilot, lambda: app.model.known)
        if app.model.jobs and isinstance(app.screen, JobsScreen):
            await until(pilot, lambda: app.screen.query_one(JobList).has_focus)
        if charts:
            await until(pilot, lambda: has_charts(app))
        await pilot.press(*keys)
        if then is not None:
            await until(pilot, lambda: then(app))
        await pilot.pause()

    return ready


def has_charts(app: SaetuiApp) -> bool:
    grids = app.screen.query(ChartGrid)
    return bool(grids) and not grids.first().has_class("notice")


def shows(text: str) -> Callable[[SaetuiApp], bool]:
    return lambda app: text in screen_text(app.screen)


@sizes
def test_no_jobs_yet(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int]) -> None:
    assert snap_compare(fixed_app(), terminal_size=size, run_before=pressing(charts=False))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_jobs_in_every_state(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path) -> None:
    assert snap_compare(fixed_app(busy_home(tmp_path)), terminal_size=size, run_before=pressing())


@sizes
def test_jobs_on_their_way(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path) -> None:
    # The charts of the highlighted job come a moment after the cursor; this is their newest value.
    ready = pressing("j", "j", "j", "j", then=shows("loss  0.0851"))
    assert snap_compare(fixed_app(restless_home(tmp_path)), terminal_size=size, run_before=ready)


@sizes
def test_asking_before_a_retry(
    snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path
) -> None:
    async def ready(pilot: Pilot[Any]) -> None:
        await pressing("G", then=shows("loss  0.0733"))(pilot)
        await pressing("R", then=shows("To go on from"), charts=False)(pilot)

    assert snap_compare(fixed_app(restless_home(tmp_path)), terminal_size=size, run_before=ready)


@sizes
def test_settings(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int]) -> None:
    ready = pressing("comma", "j", charts=False, then=shows("saetui config set auto_resume_tries"))
    assert snap_compare(fixed_app(), terminal_size=size, run_before=ready)


@sizes
def test_choosing_charts(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path) -> None:
    ready = pressing("w", "j", "space", "j", "j", "space", then=shows("Charts that come first"))
    assert snap_compare(fixed_app(busy_home(tmp_path)), terminal_size=size, run_before=ready)


@sizes
def test_a_job_that_starts(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path) -> None:
    job = make_job(tmp_path, 1, Status.STARTING, name="demo")
    maker = RunMaker(tmp_path, job)
    maker.event("phase", "Loading the model bundled:tiny.")
    maker.event("phase", "Tokenising 11.2 MB of text.")
    ready = pressing(charts=False, then=shows("Tokenising"))
    assert snap_compare(fixed_app([job]), terminal_size=size, run_before=ready)


@sizes
def test_a_job_that_failed_before_it_began(
    snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path
) -> None:
    error = JobError(
        kind="model",
        message="The model directory models/none is empty.",
        suggestion="Give a directory with config.json and safetensors files, or a Hub id.",
    )
    job = make_job(tmp_path, 1, Status.FAILED, name="demo", error=error)
    RunMaker(tmp_path, job)
    ready = pressing(charts=False, then=lambda app: app.screen.query_one(JobNotice).display)
    assert snap_compare(fixed_app([job]), terminal_size=size, run_before=ready)


@sizes
def test_a_job_that_failed_in_the_middle(
    snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path
) -> None:
    jobs = [job for job in busy_home(tmp_path) if job.status is Status.FAILED]
    assert snap_compare(fixed_app(jobs), terminal_size=size, run_before=pressing(then=shows("Lower learning_rate")))


@sizes
def test_the_supervisor_is_gone(
    snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path
) -> None:
    app = fixed_app(busy_home(tmp_path))

    async def lose(pilot: Pilot[Any]) -> None:
        await pressing()(pilot)
        app.lose(SupervisorError("The supervisor does not answer."))
        await until(pilot, lambda: shows("connecting again")(app))

    assert snap_compare(app, terminal_size=size, run_before=lose)


@sizes
def test_asking_before_a_stop(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path) -> None:
    ready = pressing("S", then=shows("Keep training"))
    assert snap_compare(fixed_app(busy_home(tmp_path)), terminal_size=size, run_before=ready)


@sizes
def test_an_error_to_read(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int]) -> None:
    ready = pressing("d", charts=False, then=shows("takes no requests"))
    assert snap_compare(fixed_app(), terminal_size=size, run_before=ready)


@sizes
def test_help(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int]) -> None:
    ready = pressing("question_mark", charts=False, then=shows("esc close"))
    assert snap_compare(fixed_app(), terminal_size=size, run_before=ready)


@sizes
def test_filtered_and_marked(snap_compare: Compare, fixed_app: MakeApp, size: tuple[int, int], tmp_path: Path) -> None:
    ready = pressing("space", "space", "slash", *"topk", "enter", then=lambda app: isinstance(app.screen, JobsScreen))
    assert snap_compare(fixed_app(busy_home(tmp_path)), terminal_size=size, run_before=ready)


@sizes
@pytest.mark.parametrize(
    ("keys", "then"),
    [
        ((), has_charts),
        (("l", "s", "v", "left", "left"), has_charts),
        (("2",), shows("layer_3.resid_post")),
        (("4",), shows("AuxK revives")),
        (("5",), shows("step 1990")),
    ],
    ids=["charts", "charts-of-each-site", "sites", "events", "log"],
)
def test_one_job(
    snap_compare: Compare,
    fixed_app: MakeApp,
    size: tuple[int, int],
    tmp_path: Path,
    keys: tuple[str, ...],
    then: Callable[[SaetuiApp], object],
) -> None:
    async def ready(pilot: Pilot[Any]) -> None:
        await pressing("enter", then=lambda app: isinstance(app.screen, JobScreen) and has_charts(app))(pilot)
        await until(pilot, lambda: pilot.app.screen.query_one("#log", TextView).pane.line_count)
        await pressing(*keys, then=then, charts=False)(pilot)

    jobs: list[Job] = busy_home(tmp_path)
    assert snap_compare(fixed_app(jobs), terminal_size=size, run_before=ready)
