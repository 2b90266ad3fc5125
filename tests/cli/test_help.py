"""`saetui help`: pages, the help of commands, and what a name that is neither gets."""

from __future__ import annotations

import json
import subprocess
import sys

from saetui.docs import read_topic, topics
from tests.cli.conftest import Saetui


def test_without_a_topic_the_pages_are_listed(saetui: Saetui) -> None:
    outcome = saetui("help")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()[: len(topics())]] == [page.name for page in topics()]


def test_a_page_is_printed_as_it_is_where_there_is_no_terminal(saetui: Saetui) -> None:
    assert saetui("help", "figures").out == read_topic("figures").text


def test_a_page_as_json(saetui: Saetui) -> None:
    page = json.loads(saetui("help", "files", "--json").out)
    assert page == {"topic": "files", "title": "The files", "text": read_topic("files").text}


def test_a_command_has_its_own_help(saetui: Saetui) -> None:
    assert saetui("help", "pause").out == saetui("pause", "--help").out


def test_neither_a_page_nor_a_command(saetui: Saetui) -> None:
    outcome = saetui("help", "figure")
    assert outcome.code == 2
    (line,) = outcome.error_lines
    assert "figures" in line


def test_on_a_terminal_the_page_is_drawn() -> None:
    command = f"PAGER=cat TERM=xterm {sys.executable} -m saetui help figures"
    drawn = subprocess.run(["script", "-qc", command, "/dev/null"], capture_output=True, text=True, check=True).stdout
    assert "# What the figures mean" not in drawn
    assert "What the figures mean" in drawn
