"""Paths into directories that this user may not enter: one clear error, wherever a user gives a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saetui.catalog.models import find_model
from saetui.catalog.starts import find_starts
from saetui.client.exporting import require_free
from saetui.errors import SaetuiError
from saetui.formats.paths import user_path, why_unreachable
from saetui.spec.editing import absolute_reference
from saetui.tui.draft_check import check_draft
from saetui.tui.screens.file_path import why_not
from tests.unreadable import closed_to_this_user

GIVEN: dict[str, Callable[[Path], object]] = {
    "a model": lambda path: find_model(str(path)),
    "a start": lambda path: find_starts(str(path), ("layer_1.resid_post",)),
    "a place to export to": require_free,
    "a path on the command line": lambda path: user_path(str(path)),
}


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    (tmp_path / "closed").mkdir()
    return tmp_path / "closed" / "there"


@pytest.mark.parametrize("give", GIVEN.values(), ids=GIVEN.keys())
def test_one_error_names_the_path_and_the_reason(give: Callable[[Path], object], inside: Path) -> None:
    with closed_to_this_user(inside.parent), pytest.raises(SaetuiError) as caught:
        give(inside)
    assert "Permission denied" in caught.value.message and caught.value.suggestion
    assert inside.name in caught.value.message or str(inside)[:20] in caught.value.message


def test_the_form_says_so_at_its_field(inside: Path) -> None:
    raw = {"model": str(inside), "dataset": {"source": "bundled:stdlib"}}
    check_draft(raw)  # what is loaded late is loaded by who may read it
    with closed_to_this_user(inside.parent):
        problems = check_draft(raw).problems
    (found,) = [problem for problem in problems if problem.field == "model"]
    assert "Permission denied" in found.message


def test_the_dialog_for_a_file_says_so(inside: Path) -> None:
    with closed_to_this_user(inside.parent):
        assert "Permission denied" in why_not(inside, must_exist=False)


def test_a_name_in_a_closed_directory_is_no_path(inside: Path) -> None:
    with closed_to_this_user(inside.parent):
        assert absolute_reference("openai-community/gpt2", inside.parent) == "openai-community/gpt2"


def test_what_is_not_there_is_no_closed_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "gone" / "away", tmp_path / "file" / "in", tmp_path / "loop"):
        assert why_unreachable(path) is None
