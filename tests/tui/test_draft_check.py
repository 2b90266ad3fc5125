"""What the form says of a draft on this machine."""

from __future__ import annotations

import msgspec
import pytest

from saetui.formats.durable import write_durably
from saetui.home import Home
from saetui.spec.problems import warnings_of
from saetui.tui.draft_check import check_draft
from tests.spec.test_estimates import FIGURES


@pytest.mark.parametrize(("dtype", "warned"), [("bfloat16", True), ("auto", False)])
def test_a_dtype_that_is_slow_here_is_a_warning_of_its_field(home: Home, dtype: str, warned: bool) -> None:
    home.make()
    slow = msgspec.structs.replace(FIGURES, products={"float32": 130e9, "bfloat16": 1e9})
    write_durably(home.machine_figures, msgspec.json.encode(slow))
    draft = {
        "model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "layers": [1], "device": "cpu", "dtype": dtype,
    }  # fmt: skip
    found = warnings_of(check_draft(draft).problems)
    assert any(problem.field == "dtype" and "130 times slower" in problem.message for problem in found) == warned
