"""`saetui checkpoints` on a job that was trained for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.home import Home
from tests.cli.conftest import Saetui, small_spec


@pytest.mark.slow
def test_a_changed_rule_is_previewed_asked_about_and_carried_out(home: Home, saetui: Saetui, tmp_path: Path) -> None:
    spec = small_spec(
        tmp_path, layers=[1], hyperparameters={"checkpoint_interval": 5, "keep_every": 5, "eval_interval": 30}
    )
    assert saetui("train", spec, "--wait").code == 0

    def steps() -> list[int]:
        return [checkpoint["step"] for checkpoint in saetui("checkpoints", "small", "--json").document["checkpoints"]]

    assert steps() == [5, 10, 15, 20, 25, 30]
    asked = saetui("checkpoints", "small", "--keep-every", "10", "--keep-last", "1", typed="n\n")
    assert asked.code == 2, "nobody can answer here"
    assert "No rule would keep 2 checkpoints of small any more (step 15, 25;" in asked.err
    assert steps() == [5, 10, 15, 20, 25, 30], "nothing was changed"

    done = saetui("checkpoints", "small", "--keep-every", "10", "--keep-last", "1", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.document["rules"]["keep_every"] == 10
    assert steps() == [5, 10, 20, 30], "the first, the multiples of ten, the newest"

    rest = saetui("checkpoints", "small", "--keep-every", "0", "--no-keep-first", "--no-keep-best", "--yes", "--json")
    assert rest.document["rules"]["keep_every"] is None
    assert steps() == [30]
    titles, line = saetui("checkpoints", "small").out.splitlines()
    assert "HELD-OUT FVU  HELD-OUT L0" in titles
    (newest,) = saetui("checkpoints", "small", "--json").document["checkpoints"]
    assert f"{newest['fvu']:.4f}" in line
    assert newest["l0"] == 8
    assert "Kept: the newest 1." in saetui("checkpoints", "small").err
    assert saetui("checkpoints", "nobody").code == 1
