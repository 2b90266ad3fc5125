"""Dead latents are those silent for a whole window of tokens, and nothing else."""

from __future__ import annotations

import pytest
import torch

from saetui.errors import InvalidInput
from saetui.sae import BatchStatistics, DeadLatents


def batch(tokens: int, fired: list[int]) -> BatchStatistics:
    zero = torch.zeros(())
    return BatchStatistics(tokens, zero, zero, torch.tensor(fired))


def test_a_latent_is_dead_after_a_window_without_firing_and_not_before() -> None:
    dead = DeadLatents(3, window=100)
    dead.update(batch(60, [1, 0, 0]))
    assert dead.refresh() == 0 and dead.current is None
    dead.update(batch(39, [0, 5, 0]))
    assert dead.refresh() == 0
    dead.update(batch(1, [0, 0, 0]))
    assert dead.refresh() == 1
    assert dead.current is not None and dead.current.indices.tolist() == [2]
    dead.update(batch(10, [0, 0, 1]))
    assert dead.refresh() == 0 and dead.current is None


def test_what_the_training_sees_changes_only_at_a_refresh() -> None:
    dead = DeadLatents(2, window=10)
    dead.update(batch(20, [1, 0]))
    assert dead.current is None and dead.mask.tolist() == [False, True]
    dead.refresh()
    dead.update(batch(20, [1, 1]))
    assert dead.count == 1


def test_a_checkpoint_between_refreshes_resumes_exactly() -> None:
    dead, again = DeadLatents(3, window=10), DeadLatents(3, window=10)
    dead.update(batch(10, [1, 0, 0]))
    dead.refresh()
    dead.update(batch(5, [0, 1, 0]))
    again.load_state(dead.state())
    assert again.current is not None and again.current.indices.tolist() == [1, 2]
    for counter in (dead, again):
        counter.update(batch(5, [0, 0, 0]))
        counter.refresh()
    assert torch.equal(dead.tokens_since_fired, again.tokens_since_fired) and dead.count == again.count == 2


def test_a_revived_latent_has_a_whole_window() -> None:
    dead = DeadLatents(2, window=10)
    dead.update(batch(10, [0, 0]))
    dead.refresh()
    dead.revive(torch.tensor([0]))
    assert dead.current is not None and dead.current.indices.tolist() == [1]
    assert dead.tokens_since_fired.tolist() == [0, 10]


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="window is 0"):
        DeadLatents(2, window=0)
