"""The architecture page names files and definitions that exist, and answers a newcomer's questions in one step."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import saetui

PACKAGE = Path(saetui.__file__).parent
PAGE = (PACKAGE / "README.md").read_text(encoding="utf-8")
ROOMS = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
PLACE = re.compile(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py|\.md))(?::([\w.]+))?`")
LINK = re.compile(r"\]\(([^)]+)\)")


def missing(page: str) -> list[str]:
    """The files, definitions and links that a page names and that do not exist."""
    wrong = []
    for place, name in PLACE.findall(page):
        path = PACKAGE / place
        if not path.exists() and not (PACKAGE.parent / place).exists():
            wrong.append(place)
        elif name and name not in definitions(path):
            wrong.append(f"{place}:{name}")
    return wrong + [link for link in LINK.findall(page) if not (PACKAGE / link).exists()]


def definitions(path: Path) -> set[str]:
    """The classes, functions, methods and assigned names of a module: `Class`, `Class.method`, `function`, `NAME`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, FUNCTIONS)}
        if isinstance(node, (ast.ClassDef, *FUNCTIONS)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_every_place_on_the_page_exists() -> None:
    assert len(PLACE.findall(PAGE)) > 60
    assert missing(PAGE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "`training/looping.py`",
        "`training/loop.py:Train`",
        "`training/loop.py:Training.walk`",
        "`no_room/`",
        "[x](docs/no.md)",
    ],
)
def test_a_place_that_does_not_exist_is_found(wrong: str) -> None:
    assert len(missing(wrong)) == 1


def test_every_room_has_a_row() -> None:
    table = PAGE.split("## Rooms", 1)[1].split("\n## ", 1)[0]
    assert [room for room in sorted(ROOMS) if f"`{room}/`" not in table] == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What happens on `p`", "supervisor/job_commands.py:JobCommands.pause"),
        ("the loss of jumprelu", "sae/jumprelu.py:JumpReLUSAE"),
        ("what writes a checkpoint", "training/checkpoint.py:save_checkpoint"),
        ("where a size, a duration, a figure is formatted", "display/figures.py"),
    ],
)
def test_a_strangers_questions_are_answered_where_they_are_asked(question: str, answer: str) -> None:
    """The words of the question are on the page, and the file stands in the same row or paragraph."""
    after = PAGE.split(question, 1)[1]
    place = after.lstrip().split("\n\n", 1)[0] if question[0].isupper() else after.split("\n", 1)[0]
    assert f"`{answer}`" in place
