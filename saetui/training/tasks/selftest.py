"""`python -m saetui.training.tasks.selftest`: the planted dictionary, for a client that must not load torch.

Request: {"architectures": [names] or null for all, "full": whether the defaults are to be tried on synthetic activations instead}.
Result: a list of rows (saetui.sae.selftest.SelftestRow, or saetui.training.tasks.full_selftest.FullRow).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import torch

from saetui.sae.selftest import SelftestRow, selftest
from saetui.training.tasks.full_selftest import FullRow, full_selftest
from saetui.training.tasks.task import report, serve_task


def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the architectures asked for, reported one by one as they are done."""
    # The matrices are tiny: a second thread costs more than it does.
    torch.set_num_threads(1)
    names = request.get("architectures")
    found: Iterator[SelftestRow | FullRow] = full_selftest(names) if request.get("full") else selftest(names)
    rows = []
    for row in found:
        outcome = "passed" if row.passed else row.why
        report(f"{row.architecture}: {outcome} ({row.seconds:.0f} s)")
        rows.append(dataclasses.asdict(row))
    return rows


if __name__ == "__main__":
    sys.exit(serve_task(answer))
