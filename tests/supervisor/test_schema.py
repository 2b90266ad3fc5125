from __future__ import annotations

from pathlib import Path

import pytest

from saetui import failpoints
from saetui.errors import HomeError
from saetui.jobs.job import Status
from saetui.jobs.preferences import Preferences
from saetui.supervisor.schema import SCHEMA_VERSION
from saetui.supervisor.store import Store, previous_generation
from tests.supervisor.test_store import template

OLD = Path(__file__).parent / "data" / "store_version_1.json"
ONE_FILE = Path(__file__).parent / "data" / "store_version_2.json"


def test_a_stored_file_of_version_1_is_brought_up_to_date_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    path.write_bytes(OLD.read_bytes())
    store = Store(path)
    assert store.sound
    jobs = {record.job.name: record.job for record in store.jobs()}
    assert {name: job.status for name, job in jobs.items()} == {
        "done": Status.COMPLETED,
        "broken": Status.FAILED,
        "first in the queue": Status.QUEUED,
        "second in the queue": Status.QUEUED,
    }
    assert jobs["done"].metrics == {"layer_1.resid_post": {"loss": 0.25, "fvu": 0.125}}
    assert jobs["broken"].error is not None and "SIGKILL" in jobs["broken"].error.message
    assert (jobs["first in the queue"].queue_rank, jobs["second in the queue"].queue_rank) == (1, 2)
    assert jobs["done"].queue_rank is None
    (template,) = store.templates()
    assert template.name == "mine" and template.favorite and template.use_count == 3
    assert store.preferences() == Preferences()
    assert (tmp_path / "saetui.json.version-1").read_bytes() == OLD.read_bytes()
    again = Store(path)
    assert again.jobs() == store.jobs() and again.sound
    assert f'"version": {SCHEMA_VERSION}' in path.read_text()


def test_an_old_previous_generation_is_brought_up_to_date_when_it_has_to_step_in(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    path.write_bytes(b"torn")
    previous_generation(path).write_bytes(OLD.read_bytes())
    store = Store(path)
    assert not store.sound
    assert [record.job.queue_rank for record in store.jobs()] == [None, None, 1, 2]


def test_templates_that_lay_beside_the_jobs_get_a_file_of_their_own(tmp_path: Path) -> None:
    path, templates = tmp_path / "saetui.json", tmp_path / "templates.json"
    path.write_bytes(ONE_FILE.read_bytes())
    store = Store(path)
    assert (store.sound, store.losses) == (True, ())
    kept = {template.id: template for template in store.templates()}
    assert kept.keys() == {"tmpl-mine", "tmpl-theirs", "builtin-demo"}
    assert kept["tmpl-mine"].favorite and kept["tmpl-mine"].use_count == 3 and kept["builtin-demo"].use_count == 7
    assert store.preferences().ascii_charts and [record.id for record in store.jobs()] == ["old00001"]
    assert "tmpl-mine" not in path.read_text() and "tmpl-mine" in templates.read_text()
    assert previous_generation(templates).read_bytes() == templates.read_bytes()
    assert (tmp_path / "saetui.json.version-2").read_bytes() == ONE_FILE.read_bytes()
    again = Store(path)
    assert again.templates() == store.templates() and (again.sound, again.losses) == (True, ())


@pytest.mark.parametrize("point", ["templates.rename", "templates.directory", "store.write", "store.rename"])
def test_a_migration_that_is_broken_off_is_done_again_and_keeps_every_template_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    path = tmp_path / "saetui.json"
    path.write_bytes(ONE_FILE.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "_active", failpoints.parse(f"{point}=eio"))
        with pytest.raises(HomeError):
            Store(path)
    store = Store(path)
    assert sorted(template.id for template in store.templates()) == ["builtin-demo", "tmpl-mine", "tmpl-theirs"]
    assert [record.id for record in store.jobs()] == ["old00001"]


def test_an_old_file_that_comes_back_adds_its_templates_and_takes_none_away(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    path.write_bytes(ONE_FILE.read_bytes())
    store = Store(path)
    (theirs,) = (found for found in store.templates() if found.id == "tmpl-theirs")
    store.delete_template(theirs)
    store.save_template(template("new"))
    path.write_bytes(ONE_FILE.read_bytes())
    assert {found.id for found in Store(path).templates()} == {"builtin-demo", "tmpl-mine", "tmpl-theirs", "new"}
