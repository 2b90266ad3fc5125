"""Each architecture, for real: the trainer on the bundled model, from the spec to the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saetui.home import Home
from saetui.rundir.events import read_events
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from saetui.spec.architectures import ARCHITECTURES, TRANSCODERS
from tests.training.runs import train, write_text

SIZES: dict[str, Any] = {
    "latent_dim": 256, "batch_size": 256, "num_steps": 40, "learning_rate": 3e-3, "dead_neuron_window": 2560,
    "eval_interval": 40,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "topk": {"k": 8},
    "batch_topk": {"k": 8},
    "matryoshka": {"k": 8},
    "transcoder": {"k": 32},
}
EXPORTED_AS = {"batch_topk": "jumprelu", "matryoshka": "jumprelu", "transcoder": "topk"}
NOT_IN_SAELENS = ("skip", "skip_transcoder")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_trains_is_judged_on_held_out_text_and_leaves_a_result(
    architecture: str, home: Home, tmp_path: Path
) -> None:
    run = train(home, architecture, _spec(architecture, write_text(tmp_path / "text.txt", files=6)))
    site = "layer_1.mlp_in" if architecture in TRANSCODERS else "layer_1.resid_post"
    rows = _rows(run.training_metrics)
    assert rows[-1]["fvu"] < 0.9 * rows[0]["fvu"]
    assert 0 < rows[-1]["l0"] <= 256
    assert rows[-1]["dead_fraction"] < 0.5
    (held_out,) = _rows(run.evaluation_metrics)
    assert held_out["ce_clean"] < held_out["ce_sae"]
    assert held_out["ce_recovered"] == pytest.approx(
        (held_out["ce_zero"] - held_out["ce_sae"]) / (held_out["ce_zero"] - held_out["ce_clean"])
    )
    densities = [value for name, value in held_out.items() if name.startswith("density_")]
    assert sum(densities) + held_out["never_fired"] == pytest.approx(1.0)
    _check_result(run, site, architecture, held_out)


def _check_result(run: RunDirectory, site: str, architecture: str, held_out: dict[str, float]) -> None:
    config = json.loads((run.result(site) / "cfg.json").read_text())
    exported = next(event for event in read_events(run.events) if event.kind == "exported")
    if architecture in NOT_IN_SAELENS:
        assert (config["format"], exported.data["format"]) == ("saetui", "saetui")
        assert "in saetui's own format. SAELens" in exported.message
    else:
        assert config["architecture"] == EXPORTED_AS.get(architecture, architecture)
        assert exported.data["format"] == "saelens"
    metadata = config["metadata"]
    assert metadata["saetui"]["held_out"] == pytest.approx(held_out)
    # The bundled model begins contexts with its end of text, which is its BOS too.
    assert (metadata["seqpos_slice"], metadata["prepend_bos"]) == ([1, None], True)
    assert (metadata["saetui"]["dataset_split"], metadata["saetui"]["dataset_text_field"]) == ("train", "text")
    if architecture in TRANSCODERS:
        assert metadata["hf_hook_name"] == "transformer.h.1.mlp.input"
        assert metadata["hook_name"] == "blocks.1.mlp.hook_in"
        assert metadata["hook_name_out"] == "blocks.1.hook_mlp_out"
        assert metadata["hf_hook_name_out"].startswith("transformer.h.1.mlp")
    judged = next(event for event in read_events(run.events) if event.kind == "evaluation")
    assert judged.data["sites"][site]["never_fired"] == held_out["never_fired"]


def _spec(architecture: str, text: Path) -> dict[str, Any]:
    return {
        "model": "bundled:tiny",
        "dataset": {"source": str(text), "context_length": 64},
        "architecture": architecture,
        "layers": [1],
        "hyperparameters": {**SIZES, **OWN.get(architecture, {})},
    }


def _rows(path: Path) -> list[dict[str, float]]:
    reader = MetricReader(path)
    reader.poll()
    return [values for _, _, values in reader.rows()]
