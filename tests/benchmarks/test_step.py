"""A comparison of times is one of steps at the same L0, in ours and in every peer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from saetui.errors import SaetuiError
from saetui.training.tasks.bench import FIRING_TOLERANCE, claimed_l0
from tests.benchmarks import step
from tests.peers.environment import peer_python
from tests.slow import slow_but

SIZE = (64, 1024, 256)
ARCHITECTURES = [name for name in step.CONTENDERS if not name.endswith(step.DENSE)]
PAIRS = [f"{name} in {peer}" for name in ARCHITECTURES for peer in step.CONTENDERS[name]]


def l0_of(who: str, architecture: str) -> float:
    """What a contender says of a step at this size."""
    arguments = (architecture, *map(str, SIZE), str(step.K), "settled")
    python = Path(sys.executable) if who == "saetui" else peer_python(who)
    if python is None:
        pytest.skip(f"{who} is not installed (make peers)")
    contender = step.Contender(python, f"{who}_step.py", *arguments)
    contender.step()
    return contender.close()


@pytest.mark.parametrize("architecture", slow_but(["standard", "topk"], ARCHITECTURES))
def test_our_step_has_the_l0_of_a_trained_sae(architecture: str) -> None:
    claimed = claimed_l0(architecture, SIZE[1], step.K)
    assert claimed / FIRING_TOLERANCE <= l0_of("saetui", architecture) <= claimed * FIRING_TOLERANCE


@pytest.mark.parametrize("pair", slow_but(["jumprelu in saelens"], PAIRS))
def test_the_step_of_a_peer_has_the_same_l0(pair: str) -> None:
    architecture, peer = pair.split(" in ")
    claimed = claimed_l0(architecture, SIZE[1], step.K)
    assert claimed / FIRING_TOLERANCE <= l0_of(peer, architecture) <= claimed * FIRING_TOLERANCE


@pytest.mark.parametrize("peer", ["", "saelens"])
def test_a_step_at_another_l0_is_refused(monkeypatch: pytest.MonkeyPatch, peer: str) -> None:
    """Ours alone, and a peer's beside it."""
    who = peer or "saetui"
    if peer and peer_python(peer) is None:
        pytest.skip(f"{peer} is not installed (make peers)")
    monkeypatch.setitem(step.CONTENDERS, "standard", (peer,) if peer else ())
    told = step.Contender.close
    monkeypatch.setattr(
        step.Contender, "close", lambda one: 0.0 * told(one) if one.script == f"{who}_step.py" else told(one)
    )
    with pytest.raises(SaetuiError, match=rf"standard in {who} was measured at an L0 of 0, not 10\.2"):
        step.measure("standard", SIZE, 1)


def test_a_contender_that_fails_is_not_one_without_an_l0() -> None:
    contender = step.Contender(
        Path(sys.executable), "saetui_step.py", "no such architecture", *map(str, SIZE), "32", "settled"
    )
    with pytest.raises(RuntimeError, match="did not tell its L0"):
        contender.close()
