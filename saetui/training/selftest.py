"""`python -m saetui.training.selftest`: the planted dictionary, for a client that must not load torch.

Request: {"architectures": [names] or null for all}. Result: a list of rows (saetui.sae.selftest.SelftestRow).
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import torch

from saetui.sae.selftest import selftest
from saetui.training.errand import report, run_errand


def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the architectures asked for, reported one by one as they are done."""
    # The matrices are tiny: a second thread costs more than it does.
    torch.set_num_threads(1)
    rows = []
    for row in selftest(request.get("architectures")):
        outcome = "passed" if row.passed else row.why
        report(f"{row.architecture}: {outcome} ({row.seconds:.0f} s)")
        rows.append(dataclasses.asdict(row))
    return rows


if __name__ == "__main__":
    sys.exit(run_errand(answer))
