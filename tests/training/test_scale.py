"""The measuring of the scale before the first step: from where, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from saetui.catalog.cache_limit import write_limit
from saetui.home import Home
from saetui.rundir.events import read_events
from saetui.spec.training_spec import parse_spec
from saetui.training.control import Requests
from saetui.training.notifier import Notifier
from saetui.training.out_of_memory import AdaptiveExtractor
from saetui.training.recorder import BufferedEvents
from saetui.training.setup import Prepared, set_up
from tests.training.runs import make_run, small_spec, train, write_text


def prepared(home: Home, name: str, raw: dict[str, object]) -> Prepared:
    """A run that has taken no step, in this process."""
    run = make_run(home, name, raw)
    notifier = Notifier(home.root / "nobody-listens", name)
    try:
        found = set_up(parse_spec(run.read_spec())[0], run, BufferedEvents(run.events), notifier, Requests(run))
    finally:
        notifier.close()
    assert found is not None
    return found


def test_the_share_that_is_done_is_told_while_the_scale_is_measured(home: Home, tmp_path: Path) -> None:
    found = prepared(home, "told", small_spec(write_text(tmp_path / "text.txt", files=1)))
    said = [event.message for event in read_events(found.run.events) if event.data.get("name") == "scale"]
    assert said[0] == "Measuring the scale of the activations"
    shares = [int(sentence.rsplit(" ", 1)[1].rstrip("%")) for sentence in said[1:]]
    assert shares and shares == sorted(set(shares)) and shares[0] >= 25 and shares[-1] < 100


@pytest.mark.slow
def test_the_scale_is_measured_on_the_cache_where_there_is_one_and_is_the_same(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(write_text(tmp_path / "text.txt", files=1), layers=[0, 1])
    from_the_model = prepared(home, "model", spec)
    write_limit(home.cache, 10**9)
    train(home, "recording", {**spec, "hyperparameters": {"num_steps": 60}})

    def run(*arguments: object, **more: object) -> NoReturn:
        raise AssertionError("the model was run")

    monkeypatch.setattr(AdaptiveExtractor, "run", run)
    from_the_cache = prepared(home, "cache", spec)
    for site, trainer in from_the_model.trainers.items():
        assert trainer.units.source.norm_limit is not None
        assert from_the_cache.trainers[site].units == trainer.units
