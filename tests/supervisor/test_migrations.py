from __future__ import annotations

from pathlib import Path

from saetui.jobs.job import Status
from saetui.jobs.preferences import Preferences
from saetui.supervisor.migrations import SCHEMA_VERSION
from saetui.supervisor.store import Store, previous_generation

OLD = Path(__file__).parent / "data" / "store_version_1.json"


def test_a_stored_file_of_version_1_is_brought_up_to_date_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    path.write_bytes(OLD.read_bytes())
    store = Store(path)
    assert store.opening.sound
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
    assert again.jobs() == store.jobs() and again.opening.sound
    assert f'"version": {SCHEMA_VERSION}' in path.read_text()


def test_an_old_previous_generation_is_brought_up_to_date_when_it_has_to_step_in(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    path.write_bytes(b"torn")
    previous_generation(path).write_bytes(OLD.read_bytes())
    store = Store(path)
    assert not store.opening.sound
    assert [record.job.queue_rank for record in store.jobs()] == [None, None, 1, 2]
