"""The order of the queue, and how some of it are given another place."""

from __future__ import annotations

from collections.abc import Sequence

from saetui.protocol.messages import Place


def placed(order: Sequence[str], chosen: Sequence[str], to: Place) -> list[str]:
    """The queue with the chosen ones elsewhere; the others keep their order.

    First and last take them in the order in which they were named; up and down move each by one place, and several that
    stand together stay together.
    """
    rest = [job_id for job_id in order if job_id not in set(chosen)]
    if to is Place.FIRST:
        return [*chosen, *rest]
    if to is Place.LAST:
        return [*rest, *chosen]
    if to is Place.UP:
        return _up(list(order), frozenset(chosen))
    return _up(list(reversed(order)), frozenset(chosen))[::-1]


def _up(order: list[str], chosen: frozenset[str]) -> list[str]:
    for index in range(1, len(order)):
        if order[index] in chosen and order[index - 1] not in chosen:
            order[index - 1 : index + 1] = [order[index], order[index - 1]]
    return order
