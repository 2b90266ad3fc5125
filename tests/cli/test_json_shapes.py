"""`saetui help json` names each field of what the commands print, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from saetui import errors
from saetui.cli.main import COMMANDS
from saetui.docs import read_topic
from saetui.spec.speed import MachineFigures
from tests.cli.conftest import Trained

PRINTED = {
    "A job": ["jobs"],
    "checkpoints": ["checkpoints", "small"],
    "logs": ["logs", "small"],
    "eval": ["eval", "small"],
    "A template": ["templates", "list"],
    "models": ["models"],
    "datasets": ["datasets"],
    "estimate": ["estimate", "--template", "Demo"],
    "cache list": ["cache", "list"],
    "cache verify": ["cache", "verify"],
    "cache limit": ["cache", "limit"],
    "selftest": ["selftest", "--architecture", "topk"],
    "doctor": ["doctor"],
    "config list": ["config", "list"],
    "supervisor status": ["supervisor", "status"],
    "completion": ["completion", "bash"],
    "An error": ["show", "nobody"],
}


def documented(heading: str) -> set[str]:
    """The fields in a section of the page: what stands in backticks before the explanation."""
    section = read_topic("json").text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    items = re.split(r"\n- ", section)[1:]
    return {name for item in items for name in re.findall(r"`(\w+)`", item.split("`: ", 1)[0] + "`")}


def fields_of(document: Any) -> set[str]:
    while isinstance(document, list):
        assert document, "an empty list shows no field"
        document = document[0]
    return set(document.get("error") or document) if set(document) == {"error"} else set(document)


@pytest.mark.parametrize("heading", PRINTED)
def test_the_page_names_the_fields_and_no_other(heading: str, trained: Trained) -> None:
    assert fields_of(trained.saetui(*PRINTED[heading], "--json").document) == documented(heading)


def test_a_shown_job_has_a_jobs_fields_and_more(trained: Trained) -> None:
    shown = fields_of(trained.saetui("show", "small", "--json").document)
    assert shown == documented("A job") | documented("show")


def test_a_row_of_metrics_has_a_step_and_a_site(trained: Trained) -> None:
    assert documented("metrics") < fields_of(trained.saetui("metrics", "small", "--json").document)


def test_exports_imports_and_template_files_are_as_the_page_says(trained: Trained, tmp_path: Path) -> None:
    run = trained.saetui
    exported = run("export", "small", tmp_path / "sae", "--site", "layer_1.resid_post", "--json").document
    assert fields_of(exported) == documented("export")
    imported = run("import", exported[0]["directory"], "--name", "shapes", "--json").document
    assert fields_of(imported) == documented("import")
    file = tmp_path / "templates.json"
    assert fields_of(run("templates", "export", "Demo", "--output", file, "--json").document) == documented(
        "templates export"
    )
    found = run("templates", "import", file, "--json").document
    assert fields_of(found) == documented("templates import")
    run("templates", "delete", found["imported"][0]["id"], "--yes")


def test_every_kind_of_error_is_named() -> None:
    kinds = {error.kind for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "kind")}
    section = read_topic("json").text.split("- `kind`: a stable word: ", 1)[1].split("\n- ", 1)[0]
    assert set(re.findall(r"\w+", section)) == kinds | {"usage"}


def test_no_command_is_left_out() -> None:
    """Those without a section of their own print what another section describes; `help` prints a page."""
    text = read_topic("json").text
    described = {word for heading in re.findall(r"\n## (.+)", text) for word in heading.split()[:1]}
    assert [name for name in COMMANDS if name not in described and f"`{name}`" not in text] == ["help"]


def test_a_measured_machine_has_the_fields_of_its_section() -> None:
    """`bench` itself takes a minute; it prints this record."""
    assert set(MachineFigures.__struct_fields__) == documented("bench")
