"""What the form says of a draft on this machine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from saetui.formats.durable import write_durably
from saetui.home import Home
from saetui.spec.problems import warnings_of
from saetui.tui.draft import Draft
from saetui.tui.draft_check import check_draft, filled_draft
from tests.spec.test_estimates import FIGURES
from tests.tui.forms import make_model


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


def test_the_text_that_a_spec_names_replaces_the_one_in_the_form(tmp_path: Path) -> None:
    before = Draft.of({"model": str(make_model(tmp_path / "model")), "dataset": {"source": "/srv/texts"}})
    named = filled_draft(before, {**before.raw(), "dataset": {"source": "bundled:stdlib"}}, None)
    assert named.text("dataset.source") == "bundled:stdlib"
    assert filled_draft(before, {"architecture": "gated"}, None).text("dataset.source") == "/srv/texts"
