"""`saetui selftest`: it really trains, says what it found, and refuses what it does not know."""

from __future__ import annotations

import importlib.util

import pytest

from tests.cli.conftest import Saetui

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")


def test_one_architecture_recovers_the_planted_dictionary(saetui: Saetui) -> None:
    outcome = saetui("selftest", "--architecture", "topk", "--json")
    assert outcome.code == 0, outcome.err
    (row,) = outcome.document
    assert row["architecture"] == "topk" and row["passed"] is True and row["why"] == ""
    assert row["recovered"] >= 0.95 and row["fvu"] < 0.25 and 2 < row["l0"] < 6
    assert "topk: passed" in outcome.err


def test_an_unknown_architecture_is_refused_before_anything_is_trained(saetui: Saetui) -> None:
    outcome = saetui("selftest", "--architecture", "standard", "--architecture", "relu")
    assert outcome.code == 2
    assert "'relu' is unknown" in outcome.error_lines[0]
    assert outcome.out == "" and "standard:" not in outcome.err
