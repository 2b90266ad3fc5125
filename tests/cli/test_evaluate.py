"""`saetui eval` judges on the text that an SAE was trained on, or on the one that is asked for."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Saetui, small_spec


def rows(directory: Path, **splits: int) -> Path:
    """Files of rows with their text in `content`, of so many lines for each split."""
    directory.mkdir()
    lines = [line for line in Path(argparse.__file__).read_text().splitlines() if line.strip()]
    for split, count in splits.items():
        content = "".join(json.dumps({"content": line}) + "\n" for line in lines[:count])
        (directory / f"{split}.jsonl").write_text(content)
    return directory


@pytest.mark.slow
def test_a_job_is_judged_on_its_own_split_and_field_and_on_others_that_are_asked_for(
    saetui: Saetui, tmp_path: Path
) -> None:
    text = rows(tmp_path / "rows", train=600, validation=400)
    dataset = {"source": str(text), "split": "validation", "text_field": "content", "context_length": 32}
    hyperparameters = {"num_steps": 2, "batch_size": 64, "expansion_factor": 1, "eval_interval": 2}
    spec = small_spec(tmp_path, dataset=dataset, layers=[0], hyperparameters=hyperparameters)
    assert saetui("train", spec, "--wait").code == 0

    own = saetui("eval", "small", "--json")
    assert own.code == 0, own.err
    assert (own.document["split"], own.document["text_field"]) == ("validation", "content")

    # Its split is not one of another text.
    elsewhere = rows(tmp_path / "elsewhere", train=400)
    other = saetui("eval", "small", "--dataset", elsewhere, "--text-field", "content", "--json")
    assert other.code == 0, other.err
    assert (other.document["split"], other.document["text_field"]) == ("train", "content")
