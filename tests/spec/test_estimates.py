"""Memory and time before a start. That the figures are right is what tests/benchmarks/memory.py measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from saetui.catalog.models import ModelInfo
from saetui.spec.architectures import ARCHITECTURES, default_hook_points
from saetui.spec.estimates import Estimate, estimate, slow_dtype
from saetui.spec.problems import Severity
from saetui.spec.speed import ForwardFigure, MachineFigures, StepFigure
from saetui.spec.training_spec import parse_spec
from saetui.spec.validation import complete_spec
from tests.catalog.test_model_sizes import write_head

GIB = 1 << 30

FIGURES = MachineFigures(
    device="CPU", torch="2", measured_at="2026-01-01T00:00:00Z", products={"float32": 1e11},
    steps=(StepFigure(architecture="topk", width=128, latents=1024, batch_size=2048, seconds=0.1, share=1.0, l0=32.0),),
    forwards=(ForwardFigure(width=128, parameter_tokens=1e9),),
)  # fmt: skip


def foretold(architecture: str = "topk", layers: list[int] | None = None, **options: Any) -> Estimate:
    hyperparameters = {"num_steps": 100, "batch_size": 2048, **options.pop("hyperparameters", {})}
    ready = complete_spec(
        {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "layers": layers or [1],
         "architecture": architecture, "hyperparameters": hyperparameters}
    )  # fmt: skip
    return estimate(ready.spec, ready.model, **options)


def paper_model(directory: Path, *, layers: int, width: int, per_layer: int, vocabulary: int) -> ModelInfo:
    """A model of which only the sizes exist."""
    directory.mkdir()
    shapes = {"embed_tokens.weight": [vocabulary, width], "norm.weight": [width]}
    write_head(
        directory / "model.safetensors", shapes | {f"layers.{index}.all": [per_layer] for index in range(layers)}
    )
    return ModelInfo(
        reference="paper", directory=str(directory), family="paper", num_layers=layers, hidden_size=width,
        context_limit=8192, size_bytes=0,
    )  # fmt: skip


def on_paper(model: ModelInfo, layers: list[int], dtype: str = "auto", **hyperparameters: Any) -> Estimate:
    spec = {
        "model": "bundled:tiny", "dataset": {"source": "bundled:stdlib", "context_length": 128}, "layers": layers,
        "architecture": "topk", "dtype": dtype, "hyperparameters": hyperparameters,
    }  # fmt: skip
    return estimate(parse_spec(spec)[0], model, available=6 * GIB, device="jetson")


@pytest.mark.parametrize(
    ("bfloat16", "device", "dtype", "slowdown"),
    [
        (1e9, "cpu", "bfloat16", 100.0),
        (1e9, "cpu", "auto", None),
        (1e9, "cpu", "float16", None),
        (1e9, "cuda", "bfloat16", None),
        (9e10, "cpu", "bfloat16", None),
        (3e11, "cpu", "bfloat16", None),
    ],
)
def test_a_dtype_that_is_slow_on_this_processor_is_warned_of(
    bfloat16: float, device: str, dtype: str, slowdown: float | None
) -> None:
    """Only where it was measured, and not for noise, nor where it is faster."""
    ready = complete_spec(
        {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "layers": [1], "dtype": dtype}
    )
    figures = msgspec.structs.replace(FIGURES, products={"float32": 1e11, "bfloat16": bfloat16})
    found = estimate(ready.spec, ready.model, device=device, figures=figures)
    warning = slow_dtype(ready.spec, found)
    assert found.dtype_slowdown == slowdown
    assert (warning is None) == (slowdown is None)
    if warning is not None:
        assert warning.severity is Severity.WARNING
        assert "bfloat16 are about 100 times slower" in warning.sentence()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parts_add_up_for_every_architecture(architecture: str) -> None:
    found = foretold(architecture)
    assert sum(found.parts.values()) == found.total_bytes
    assert all(count > 0 for count in found.parts.values())
    assert found.parts["moments"] == 2 * found.parts["sae_weights"]


def test_more_sites_more_latents_and_larger_batches_need_more() -> None:
    one = foretold()
    assert foretold(layers=[1, 2]).parts["sae_weights"] == 2 * one.parts["sae_weights"]
    assert foretold(hyperparameters={"expansion_factor": 16}).total_bytes > one.total_bytes
    assert foretold(hyperparameters={"batch_size": 4096}).parts["buffer"] > one.parts["buffer"]
    assert (
        foretold(hyperparameters={"micro_batch_size": 256, "expansion_factor": 512}).parts["step"]
        < (foretold(hyperparameters={"expansion_factor": 512}).parts["step"])
    )


@pytest.mark.parametrize(("every", "rows"), [(2, 2 * 2048), (50, 8192)])
def test_inputs_that_dead_latents_are_resampled_from_take_their_room(every: int, rows: int) -> None:
    plain, resampling = foretold("standard"), foretold("standard", hyperparameters={"resample_steps": every})
    assert resampling.parts["buffer"] - plain.parts["buffer"] == 4 * rows * 128


def test_without_a_reading_nothing_is_said_about_fitting() -> None:
    assert (foretold().fits, foretold().available_bytes, foretold().suggestion) == (None, None, None)


@pytest.mark.parametrize(
    ("wide", "narrow", "words"),
    [
        ({"layers": [1]}, {"layers": [1], "hyperparameters": {"micro_batch_size": 512}}, "micro_batch_size 512"),
        ({"layers": [0, 1, 2, 3]}, {"layers": [0, 1], "hyperparameters": {"micro_batch_size": 256}}, "2 layers"),
        ({"layers": [1]}, {"layers": [1], "hyperparameters": {"expansion_factor": 8}}, "expansion factor of"),
    ],
)
def test_what_does_not_fit_comes_with_the_smallest_change_that_does(
    wide: dict[str, Any], narrow: dict[str, Any], words: str
) -> None:
    wanted = {**wide, "hyperparameters": {"expansion_factor": 512}}
    smaller = {**narrow, "hyperparameters": {"expansion_factor": 512, **narrow.get("hyperparameters", {})}}
    # As much as the smaller one needs without the layers that only an evaluation loads.
    room = foretold(**smaller, available=1)
    tight = foretold(**wanted, available=int(room.total_bytes / 0.95) + 1)
    assert tight.fits is False
    assert words in (tight.suggestion or "")


def test_a_machine_that_is_too_small_for_any_is_told_so() -> None:
    assert "smaller model" in (foretold(available=100 * 2**20).suggestion or "")


def test_gpt2_small_with_three_layers_fits_in_six_gigabytes(tmp_path: Path) -> None:
    model = paper_model(tmp_path / "gpt2", layers=12, width=768, per_layer=7_087_872, vocabulary=50_257)
    assert on_paper(model, [4, 6, 8], expansion_factor=16.0).fits


def test_gemma_2_2b_at_layer_12_with_16k_latents_fits_in_six_gigabytes(tmp_path: Path) -> None:
    model = paper_model(tmp_path / "gemma", layers=26, width=2304, per_layer=77_865_984, vocabulary=256_000)
    assert on_paper(model, [12], latent_dim=16384, batch_size=1024).total_bytes <= 6 * GIB
    assert on_paper(model, [12], latent_dim=16384).suggestion == "It fits with batch_size 512."


def test_time_is_a_pass_of_the_model_and_a_step_of_each_sae() -> None:
    one, two = foretold(figures=FIGURES).seconds, foretold(layers=[0, 1], figures=FIGURES).seconds
    assert one is not None
    assert two is not None
    assert one > 100 * 0.1
    assert two - one == pytest.approx(100 * 0.1, rel=1e-6)


def test_time_is_unknown_for_what_was_not_measured() -> None:
    assert foretold().seconds is None
    assert foretold("gated", figures=FIGURES).seconds is None


def test_time_is_unknown_while_the_length_waits_for_the_text() -> None:
    ready = complete_spec(
        {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, "hyperparameters": {"num_epochs": 2.0}}
    )
    assert estimate(ready.spec, ready.model, figures=FIGURES).seconds is None


def test_a_transcoder_is_read_at_two_places(tmp_path: Path) -> None:
    assert default_hook_points("transcoder") == ("mlp_in",)
    assert foretold("transcoder").parts["buffer"] == 2 * foretold("topk").parts["buffer"]


def test_it_is_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(foretold()))["parts"]["model"] > 0
