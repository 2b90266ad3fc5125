from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from saetui.rundir.checkpoints import CheckpointInfo
from saetui.rundir.retention import Retention, best_of, superfluous

STEPS = (10, 20, 30, 40, 50, 60)


def checkpoints(fvu: dict[int, float] | None = None) -> list[CheckpointInfo]:
    return [CheckpointInfo(step, Path(f"step_{step}"), "", 1, (fvu or {}).get(step)) for step in STEPS]


def rules(**said: bool | int) -> Retention:
    return msgspec.structs.replace(Retention(keep_first=False, keep_last=1, keep_best=False), **said)


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        (rules(), [10, 20, 30, 40, 50]),
        (rules(keep_first=True, keep_last=2), [20, 30, 40]),
        (rules(keep_best=True), [10, 30, 40, 50]),
        (rules(keep_every=20), [10, 30, 50]),
        (rules(keep_best=True, warmup_steps=30), [10, 20, 30, 40, 50]),
        (rules(keep_best=True, warmup_steps=20, keep_first=True), [20, 40, 50]),
        (Retention(keep_last=100), []),
    ],
)
def test_what_no_rule_keeps_goes(kept: Retention, gone: list[int]) -> None:
    found = superfluous(checkpoints({20: 0.05, 30: 0.1, 60: 0.2}), kept)
    assert [checkpoint.step for checkpoint in found] == gone


def test_the_newest_stays_whatever_the_rules_say() -> None:
    for number in range(1, len(STEPS) + 1):
        some = checkpoints()[:number]
        assert some[-1] not in superfluous(some, rules())
    assert superfluous([], rules()) == []


def test_of_equally_good_ones_the_earlier_is_best_and_without_an_evaluation_none_is() -> None:
    best = best_of(checkpoints({30: 0.1, 50: 0.1, 20: 0.3}), warmup_steps=0)
    assert best is not None
    assert best.step == 30
    assert best_of(checkpoints(), warmup_steps=0) is None
    assert best_of(checkpoints({10: 0.1}), warmup_steps=10) is None
