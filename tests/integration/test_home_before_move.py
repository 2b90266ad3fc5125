"""A home made by the version before the modules moved (commit c87fbdf): its jobs, templates and caches are read and go on.

It was made with that version's command line: a topk job and a jumprelu job of two sites that completed, a batch_topk job that was
stopped, a standard job that was paused and unloaded, one that failed, one that waits for the paused one; templates, settings, an
imported SAE, tokens and activations. `answers/` has what that version's commands answered. The text is gone.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saetui.home import Home
from tests.cli.conftest import Saetui, run_saetui
from tests.conftest import end_processes_of

pytest.importorskip("torch")

STORED = Path(__file__).with_name("data") / "home_before_move.tar.gz"
JOBS = ("done-topk", "done-two-sites", "stopped-midway", "paused-unloaded", "fails", "waits")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory with `home` and `answers`."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(STORED) as stored:
        stored.extractall(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAETUI_HOME", str(folder / "home"))
        yield folder
        end_processes_of(Home(folder / "home"))


@pytest.fixture
def saetui(old: Path) -> Saetui:
    return run_saetui


def answer(old: Path, name: str) -> Any:
    """What the old version answered, as if its home had been here."""
    text = (old / "answers" / f"{name}.json").read_text()
    return here(old, json.loads(text))


def here(old: Path, document: Any) -> Any:
    """A document in which the home's earlier path, which events of that time name, is the present one."""
    return json.loads(json.dumps(document).replace("/tmp/saetui-home-before-move/home", str(old / "home")))


@pytest.mark.parametrize(
    ("stored", "command"),
    [
        ("jobs", ("jobs",)),
        ("templates", ("templates", "list")),
        ("config", ("config", "list")),
        *((f"show-{job}", ("show", job)) for job in JOBS),
        *((f"metrics-{job}", ("metrics", job)) for job in JOBS),
        *((f"checkpoints-{job}", ("checkpoints", job)) for job in JOBS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_answer_is_what_it_was(saetui: Saetui, old: Path, stored: str, command: tuple[str, ...]) -> None:
    now, before = here(old, saetui(*command, "--json").document), answer(old, stored)
    if stored == "templates":
        # The text of one is gone, and the template says so now.
        assert [template.pop("missing", None) for template in now] != [
            template.pop("missing", None) for template in before
        ]
        # What is built in belongs to the version, not to the home.
        now, before = ([template for template in listed if not template["builtin"]] for listed in (now, before))
        assert now
    if stored == "config":
        later = {"charts": "auto", "notices": True, "bell": True, "desktop_notices": True, "order": "state"}
        assert {name: now.pop(name) for name in later} == later, "settings that came later have their defaults"
    if stored == "jobs" or command[0] == "show":
        for job in now if isinstance(now, list) else [now]:
            assert job.pop("phase") is None, "a field that came later"
    assert now == before


def test_the_caches_are_sound_and_listed_as_before(saetui: Saetui, old: Path) -> None:
    entries = {entry["key"]: entry["kind"] for entry in saetui("cache", "list", "--json").document}
    assert entries == {entry["key"]: entry["kind"] for entry in answer(old, "cache")}
    assert len(entries) == 2
    verified = saetui("cache", "verify", "--json")
    assert verified.code == 0, verified.err


def test_a_result_is_exported_byte_for_byte(saetui: Saetui, old: Path, tmp_path: Path) -> None:
    (job,) = [job for job in answer(old, "jobs") if job["name"] == "done-topk"]
    assert saetui("export", "done-topk", tmp_path / "taken").code == 0
    stored = old / "home" / "runs" / job["id"] / "sae" / "layer_1.resid_post"
    taken = tmp_path / "taken" / "layer_1.resid_post"
    assert {path.name: path.read_bytes() for path in taken.iterdir()} == {
        path.name: path.read_bytes() for path in stored.iterdir()
    }


@pytest.mark.slow
def test_stopped_and_unloaded_jobs_go_on_to_their_ends_and_then_the_one_that_waits_starts(
    saetui: Saetui, old: Path
) -> None:
    steps = {job["name"]: job["step"] for job in answer(old, "jobs")}
    resumed = saetui("resume", "stopped-midway", "paused-unloaded")
    assert resumed.code == 0, resumed.err
    for name in ("stopped-midway", "paused-unloaded"):
        watched = saetui("watch", name)
        shown = saetui("show", name, "--json").document
        assert (shown["status"], shown["step"]) == ("completed", 4000), watched.out + watched.err
        rows = [row["step"] for row in saetui("metrics", name, "--json").document if "fvu" in row]
        assert rows == sorted(set(rows)), "no step is logged twice"
        assert 0 < steps[name] < 4000
        assert {steps[name] - steps[name] % 5, 4000} <= set(rows)
    saetui("watch", "waits")
    error = saetui("show", "waits", "--json").document["error"]
    assert "text.txt" in error["message"], "it has no tokens of its own: the text is gone"
