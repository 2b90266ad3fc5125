"""What a training needs, before it starts: memory, time, and the smallest change with which it fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import msgspec

from saetui.catalog.models import ModelInfo, ModelSize, read_model_size
from saetui.display import figures as display
from saetui.spec.memory import memory_parts
from saetui.spec.problems import Problem, Severity, SpecError
from saetui.spec.settings import count_latents, count_steps, resolve, with_defaults
from saetui.spec.speed import MachineFigures, dtype_slowdown, predict_seconds
from saetui.spec.training_spec import TrainingSpec

SMALLEST_MICRO_BATCH = 256
"""Smaller micro-batches make a step slow and save little."""
SMALLEST_BATCH = 512
"""Smaller batches are not recommended."""
FACTORS = (32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""Expansion factors to propose."""
SPARE = 0.05
"""The share of the available memory that is left to the rest of the machine."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes and seconds that a training needs; None where they are not known.

    Attributes:
        parts: name → bytes; they add up to `total_bytes`.
        available_bytes: free for a new process now; None where the machine was not asked.
        fits: None with `available_bytes`.
        suggestion: what would fit, when it does not.
        dtype_slowdown: how many times slower than float32 the dtype of the spec is on this processor, which `seconds` does
            not count; None where it is not slower, or not known.
        gamma: ‖mean‖ / ‖standard deviation‖ of the activations, for each site that was measured; see catalog/offsets.py.
    """

    total_bytes: int
    available_bytes: Union[int, None]
    fits: Union[bool, None]
    parts: dict[str, int]
    seconds: Union[float, None]
    suggestion: Union[str, None]
    dtype_slowdown: Union[float, None] = None
    gamma: dict[str, float] = {}


def estimate(
    spec: TrainingSpec,
    model: ModelInfo,
    *,
    available: int | None = None,
    device: str = "cpu",
    figures: MachineFigures | None = None,
) -> Estimate:
    """What a spec needs on this machine.

    Args:
        spec, model: the middle layer is assumed where the spec names none.
        available: bytes that a new process could have on the device.
        device: `cpu`, `cuda` or `jetson`.
        figures: what `saetui bench` measured here; without them the time is not known.

    Raises:
        SpecError: values that are sound alone and not together.
        ModelError: the model's files are damaged.
    """
    size = read_model_size(Path(model.directory))
    parts = memory_parts(spec, model, size, device)
    if available is not None and not _fits(parts, available):
        # An evaluation loads the layers behind the last site only where there is memory for them.
        parts = memory_parts(spec, model, size, device, rest=False)
    fits = None if available is None else _fits(parts, available)
    return Estimate(
        total_bytes=sum(parts.values()),
        available_bytes=available,
        fits=fits,
        parts=parts,
        seconds=None if figures is None else _seconds(spec, model, size, figures),
        suggestion=None if fits is not False else _what_fits(spec, model, size, device, available or 0),
        dtype_slowdown=dtype_slowdown(figures, spec.dtype) if figures is not None and device == "cpu" else None,
    )


def slow_dtype(spec: TrainingSpec, found: Estimate) -> Problem | None:
    """A warning of a dtype that has no fast path on this processor; None where it has one, or nothing was measured."""
    if found.dtype_slowdown is None:
        return None
    return Problem(
        field="dtype",
        message=f"matrix products in {spec.dtype} are about {display.count(round(found.dtype_slowdown))} times slower here than in float32.",
        suggestion="Choose float32; the estimate of the time is for that.",
        severity=Severity.WARNING,
    )


def _seconds(spec: TrainingSpec, model: ModelInfo, size: ModelSize, figures: MachineFigures) -> float | None:
    values = with_defaults(spec)
    batch_size = int(values["batch_size"])
    steps = count_steps(values, batch_size, None)
    if steps is None:
        return None
    layers = spec.layers or (model.middle_layer,)
    return predict_seconds(
        figures,
        architecture=spec.architecture,
        steps=steps,
        batch_size=batch_size,
        width=model.hidden_size,
        latents=count_latents(values, model.hidden_size),
        sites=len(layers) * len(spec.hook_points),
        forward_parameters=sum(size.layers[: max(layers) + 1]),
    )


def _what_fits(spec: TrainingSpec, model: ModelInfo, size: ModelSize, device: str, available: int) -> str:
    """The first smaller training that fits, in words."""
    for changed, words in _smaller(spec, model):
        if _possible(changed, model) and _fits(memory_parts(changed, model, size, device, rest=False), available):
            return f"It fits with {words}."
    free = display.size(available)
    return f"Even the smallest SAE needs more than the {free} that are free: choose a smaller model."


def _smaller(spec: TrainingSpec, model: ModelInfo) -> Iterator[tuple[TrainingSpec, str]]:
    """Smaller trainings, in words too; first those that lose least.

    A smaller micro-batch costs only time; then come a smaller batch, fewer layers, fewer latents.
    """

    def changed(values: dict[str, Any], layers: int | None = None) -> TrainingSpec:
        kept = spec.layers if layers is None else (spec.layers or (model.middle_layer,))[:layers]
        return msgspec.structs.replace(spec, layers=kept, hyperparameters=values)

    given = spec.hyperparameters
    batch = tokens = int(with_defaults(spec)["batch_size"])
    while tokens > SMALLEST_MICRO_BATCH:
        tokens //= 2
        yield changed({**given, "micro_batch_size": tokens}), f"micro_batch_size {tokens}"
    at_micro_batch = f" at micro_batch_size {tokens}" if tokens < batch else ""
    whole = {name: value for name, value in given.items() if name != "micro_batch_size"}
    while batch // 2 >= SMALLEST_BATCH:
        batch //= 2
        yield changed({**whole, "batch_size": batch}), f"batch_size {batch}"
    values: dict[str, Any] = {**given, "micro_batch_size": tokens}
    layers = len(spec.layers) or 1
    for count in range(layers - 1, 0, -1):
        yield changed(values, count), f"{count} layer{'s' if count > 1 else ''}{at_micro_batch}"
    latents = count_latents(with_defaults(spec), model.hidden_size)
    others = {name: value for name, value in values.items() if name not in ("expansion_factor", "latent_dim")}
    one = " and one layer" if layers > 1 else ""
    for factor in FACTORS:
        if factor * model.hidden_size < latents:
            narrower = changed({**others, "expansion_factor": float(factor)}, 1)
            yield narrower, f"an expansion factor of {factor}{one}{at_micro_batch}"
    least = {**others, "expansion_factor": 1.0, "batch_size": SMALLEST_BATCH, "micro_batch_size": None}
    yield changed(least, 1), f"one layer, an expansion factor of 1 and a batch of {SMALLEST_BATCH} tokens"


def _fits(parts: dict[str, int], available: int) -> bool:
    return sum(parts.values()) <= available * (1 - SPARE)


def _possible(spec: TrainingSpec, model: ModelInfo) -> bool:
    try:
        return resolve(spec, model.hidden_size, dataset_tokens=spec.dataset.context_length) is not None
    except SpecError:
        return False
