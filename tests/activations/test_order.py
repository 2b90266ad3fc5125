from __future__ import annotations

import numpy as np

from saetui.activations.order import ContextOrder

CONTEXTS = np.array([3, 5, 8, 13, 21, 34, 55])


def test_every_epoch_reads_each_context_once_in_an_order_of_its_own() -> None:
    order = ContextOrder(CONTEXTS, seed=1)
    epochs = [order.at(range(7 * epoch, 7 * epoch + 7)).tolist() for epoch in range(4)]
    assert all(sorted(epoch) == CONTEXTS.tolist() for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_any_part_can_be_asked_for_at_any_time() -> None:
    whole = ContextOrder(CONTEXTS, seed=1).at(range(40))
    order = ContextOrder(CONTEXTS, seed=1)
    for start, stop in [(20, 40), (0, 3), (5, 30), (7, 7)]:
        assert np.array_equal(order.at(range(start, stop)), whole[start:stop])


def test_the_seed_decides() -> None:
    assert not np.array_equal(
        ContextOrder(CONTEXTS, seed=1).at(range(14)), ContextOrder(CONTEXTS, seed=2).at(range(14))
    )
