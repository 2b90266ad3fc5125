"""No name and no text of the product uses a private word of earlier versions."""

from __future__ import annotations

from pathlib import Path

import pytest

import saetui
from tests.words import ALLOWED, old_words

PACKAGE = Path(saetui.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGES = [PACKAGE / "README.md", *(PACKAGE / "docs").glob("*.md")]


def test_no_module_uses_an_old_word() -> None:
    assert len(MODULES) > 250
    found = {str(path.relative_to(PACKAGE)): old_words(path.read_text(encoding="utf-8"), path.name) for path in MODULES}
    assert {path: words for path, words in found.items() if words} == {}


def test_no_page_uses_an_old_word() -> None:
    for page in PAGES:
        assert old_words(f'"""{page.read_text(encoding="utf-8")}"""'.replace("\\", ""), page.name) == [], page


@pytest.mark.parametrize(
    "wrong",
    [
        "class JobBoard: ...",
        "class Hub: ...",
        "def name_is_free(): ...",
        "def foretell_memory(): ...",
        "def run(errand: int): ...",
        "wish = 1",
        "self.crowd = 2",
        "f(taste=1)",
        '"The errand has ended."',
        "x = 1  # goes forth",
    ],
)
def test_an_old_word_is_found(wrong: str) -> None:
    assert len(old_words(wrong)) == 1


def test_each_exception_is_needed() -> None:
    needed = {file for file, _ in ALLOWED}
    assert needed <= {path.name for path in (*MODULES, *PAGES)}
    for path in (*MODULES, *PAGES):
        if path.name in needed and any(word in path.read_text(encoding="utf-8").lower() for _, word in ALLOWED):
            needed.discard(path.name)
    assert needed == set()
