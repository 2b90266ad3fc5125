"""Which cases of a statement `make test` leaves to `make test-all`: it keeps at least one of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(quick: Iterable[str], values: Iterable[Any]) -> list[Any]:
    """The values as parameters; all but the quick ones are slow."""
    kept = set(quick)
    values = list(values)
    assert kept <= set(map(str, values)), f"{kept} of {values}"
    return [value if str(value) in kept else pytest.param(value, marks=pytest.mark.slow) for value in values]
