from __future__ import annotations

from pathlib import Path
from typing import get_args

from saetui.home import Home
from saetui.protocol.messages import Change, Request, Subscribe
from saetui.supervisor.auto_resume import AutoResume
from saetui.supervisor.jobs import Jobs
from saetui.supervisor.preferences import StoredPreferences
from saetui.supervisor.requests import RequestHandlers
from saetui.supervisor.scheduler import Scheduler
from saetui.supervisor.store import Store
from saetui.supervisor.templates import Templates
from saetui.supervisor.torch_check import TorchCheck


def test_every_request_of_the_protocol_has_a_handler(tmp_path: Path) -> None:
    home, store, published = Home(tmp_path), Store(tmp_path / "saetui.json"), list[Change]()
    jobs = Jobs(home, store, published.append)
    preferences = StoredPreferences(store, published.append)
    handlers = RequestHandlers(
        home,
        jobs,
        Templates(store, published.append),
        preferences,
        Scheduler(home, jobs, AutoResume(jobs, preferences.current), ["trainer"], 1.0),
        TorchCheck(home, ["trainer"]),
        count_clients=lambda: 0,
        troubles=lambda: (),
        leave=lambda: None,
    )
    # `Subscribe` is answered by the service: it changes the connection.
    assert {*handlers.table, Subscribe} == set(get_args(Request))
