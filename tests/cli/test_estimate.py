"""`saetui estimate`: memory and time before a start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from saetui.formats.durable import write_durably
from saetui.home import Home
from tests.catalog.test_offsets import SITE, keep_rows, rows_with_offset
from tests.cli.conftest import Saetui
from tests.spec.test_estimates import FIGURES


def spec_file(directory: Path, **hyperparameters: Any) -> Path:
    file = directory / "spec.json"
    spec = {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "hyperparameters": hyperparameters}
    file.write_text(json.dumps(spec))
    return file


def test_the_document_has_the_fields_that_programs_rely_on(home: Home, saetui: Saetui, tmp_path: Path) -> None:
    outcome = saetui("estimate", spec_file(tmp_path), "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert set(document) == {
        "total_bytes",
        "available_bytes",
        "fits",
        "parts",
        "seconds",
        "suggestion",
        "dtype_slowdown",
        "gamma",
    }
    assert sum(document["parts"].values()) == document["total_bytes"]
    assert document["available_bytes"] > 0
    assert document["fits"] is True
    assert document["seconds"] is None, "this machine has not been measured in this home"
    assert document["dtype_slowdown"] is None
    assert document["gamma"] == {}, "no activations lie in this home's cache"


def test_with_figures_of_the_machine_there_is_a_time(home: Home, saetui: Saetui, tmp_path: Path) -> None:
    home.make()
    write_durably(home.machine_figures, msgspec.json.encode(FIGURES))
    outcome = saetui("estimate", spec_file(tmp_path, num_steps=100), "--json")
    assert outcome.document["seconds"] > 0
    assert "time about" in saetui("estimate", spec_file(tmp_path, num_steps=100)).out


def test_a_dtype_without_a_fast_path_is_warned_of(home: Home, saetui: Saetui, tmp_path: Path) -> None:
    home.make()
    slow = msgspec.structs.replace(FIGURES, products={"float32": 130e9, "bfloat16": 1e9})
    write_durably(home.machine_figures, msgspec.json.encode(slow))
    asked = (spec_file(tmp_path, num_steps=100), "-o", "device=cpu", "-o")
    assert saetui("estimate", *asked, "dtype=bfloat16", "--json").document["dtype_slowdown"] == pytest.approx(130)
    warned = saetui("estimate", *asked, "dtype=bfloat16")
    assert warned.code == 0
    assert "bfloat16 are about 130 times slower here than in float32" in " ".join(warned.err.split())
    assert "slower" not in saetui("estimate", *asked, "dtype=float32").err


def test_what_does_not_fit_exits_with_1_and_says_what_would(saetui: Saetui, tmp_path: Path) -> None:
    outcome = saetui("estimate", spec_file(tmp_path), "-o", "expansion_factor=1024", "-o", "layers=0,1,2,3",
                     "-o", "batch_size=1048576")  # fmt: skip
    assert outcome.code == 1
    assert "it does not fit" in outcome.out
    assert "It fits with" in outcome.err


def test_a_spec_with_errors_is_refused_as_a_start_is(saetui: Saetui, tmp_path: Path) -> None:
    outcome = saetui("estimate", spec_file(tmp_path, k=0), "--json")
    assert outcome.code != 0
    assert "k" in outcome.err


def test_where_activations_are_kept_dead_latents_are_forecast(home: Home, saetui: Saetui, tmp_path: Path) -> None:
    home.make()
    keep_rows(home.cache, rows_with_offset(15.0), "F32")
    asked = (spec_file(tmp_path), "-o", "layers=1")
    assert saetui("estimate", *asked, "--json").document["gamma"] == {SITE: pytest.approx(15.0, rel=0.05)}
    assert (
        f"{SITE}: γ 15, the mean of the activations is 15 times their standard deviation"
        in saetui("estimate", *asked).out
    )
