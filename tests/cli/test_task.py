"""Work in a process of its own: its answer, its refusal, and its end without either."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.cli.task import run_task
from saetui.errors import FormatError, SaetuiError, TrainingError
from tests.cli.conftest import needs_trainer

# A module of the standard library that answers with the request itself.
ECHO = "json.tool"


def test_the_answer_is_the_result() -> None:
    assert run_task(ECHO, {"result": {"fvu": 0.5}}) == {"fvu": 0.5}


def test_a_refusal_is_the_same_error_here() -> None:
    refusal = {"kind": "format", "message": "It is damaged.", "suggestion": "Take another."}
    with pytest.raises(FormatError) as refused:
        run_task(ECHO, {"error": refusal})
    assert (refused.value.message, refused.value.suggestion) == ("It is damaged.", "Take another.")


@pytest.mark.parametrize(
    ("module", "words"),
    [("this", "gave no answer"), (ECHO, "gave no answer"), ("no_such_module", "No module named no_such_module")],
)
def test_an_end_without_an_answer_is_told_with_its_last_words(module: str, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        run_task(module, {"neither": 1})


def test_a_fault_comes_with_the_place_of_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_trainer()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("SAETUI_HOME", str(home))
    # A request without what it must have: not something that a command sends.
    with pytest.raises(SaetuiError, match="KeyError") as failed:
        run_task("saetui.training.tasks.evaluate", {})
    assert str(home / "task.log") in str(failed.value.suggestion)
    assert "Traceback" in (home / "task.log").read_text()
