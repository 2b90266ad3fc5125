"""What a training will need, before it starts: memory by parts, time, and what would fit when it does not.

The memory is that of the trainer's process: resident memory on a CPU, and on a board whose GPU shares it; on a card of its
own what torch reserves there. Sizes that follow from the spec are exact; what a step holds was counted in its tensors
(tests/training/test_step_memory.py); what torch itself takes was fitted to measured peaks (tests/benchmarks/memory.py), from above.
"""

from __future__ import annotations

from pathlib import Path
from typing import Union

import msgspec

from saetui.catalog.model_sizes import ModelSize, read_model_size
from saetui.catalog.models import ModelInfo
from saetui.spec.architectures import TRANSCODERS
from saetui.spec.problems import SpecError
from saetui.spec.settings import (
    Settings,
    contexts_at_a_time,
    contexts_of_a_block,
    count_latents,
    count_steps,
    resolve,
    with_defaults,
)
from saetui.spec.speed import MachineFigures, predict_seconds
from saetui.spec.training_spec import TrainingSpec

FLOAT = 4
MIB = 1 << 20
GIB = 1 << 30
KEPT_REST = 256 * MIB
"""What lies behind the last layer stays loaded between evaluations up to this size."""
LOGITS_AT_ONCE = 1 << 24
"""An evaluation takes fewer contexts at once where the vocabulary is large; see activations/splice.py."""
SMALLEST_MICRO_BATCH = 256
"""Smaller pieces make a step slow, and save little."""
SMALLEST_BATCH = 512
"""Below it is not recommended."""
SPARE = 0.05
"""Of what is available, so much is left to the rest of the machine when something is said to fit."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a training takes. Bytes and seconds; None where it cannot be said.

    Attributes:
        parts: name → bytes; they add up to `total_bytes`.
        available_bytes: free for a new process now; None when the machine has not been asked.
        fits: None with `available_bytes`.
        suggestion: what would fit, when it does not.
        gamma: ‖mean‖ / ‖standard deviation‖ of the activations, of those sites where they are at hand; see offsets.py.
    """

    total_bytes: int
    available_bytes: Union[int, None]
    fits: Union[bool, None]
    parts: dict[str, int]
    seconds: Union[float, None]
    suggestion: Union[str, None]
    gamma: dict[str, float] = {}


def estimate(
    spec: TrainingSpec,
    model: ModelInfo,
    *,
    available: int | None = None,
    device: str = "cpu",
    figures: MachineFigures | None = None,
) -> Estimate:
    """What a spec takes on this machine.

    Args:
        spec: complete but for layers, of which the middle one is assumed.
        model: its model.
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
        # The layers behind the last site are loaded for an evaluation only where there is room for them.
        parts = memory_parts(spec, model, size, device, rest=False)
    total = sum(parts.values())
    fits = None if available is None else _fits(parts, available)
    return Estimate(
        total_bytes=total,
        available_bytes=available,
        fits=fits,
        parts=parts,
        seconds=None if figures is None else _seconds(spec, model, size, figures),
        suggestion=None if fits is not False else _what_fits(spec, model, size, device, int(available or 0)),
    )


def memory_parts(
    spec: TrainingSpec, model: ModelInfo, size: ModelSize, device: str, *, rest: bool = True
) -> dict[str, int]:
    """What takes how many bytes at the training's peak.

    Args:
        spec: complete.
        model: its model.
        size: the model's parameters.
        device: `cpu`, `cuda` or `jetson`.
        rest: whether evaluations load the layers behind the last site for the cross-entropy.

    Raises:
        SpecError: values that are sound alone and not together.
    """
    settings = resolve(spec, model.hidden_size, dataset_tokens=spec.dataset.context_length)
    assert settings is not None, "with a number of tokens every length is known"
    layers = spec.layers or (model.middle_layer,)
    sites = len(layers) * len(spec.hook_points)
    weights = FLOAT * sae_parameters(spec.architecture, model.hidden_size, settings) * sites
    item = _model_item(spec, device)
    # What was asked to run on the processor does so on every machine.
    kind = "cpu" if spec.device == "cpu" else device
    loaded = size.up_to(max(layers)) * item
    behind = size.total * item - loaded
    kept = rest and behind <= KEPT_REST
    streams = sites * (2 if spec.architecture in TRANSCODERS else 1)
    parts = {
        "runtime": RUNTIME[device],
        "model": loaded + (behind if kept else 0),
        "sae_weights": weights,
        "gradients": weights,
        "moments": weights * MOMENTS[settings.optimizer],
        "buffer": _buffer(spec, settings, model.hidden_size, streams, kind) * item,
        "step": max(
            step_bytes(spec.architecture, settings, model.hidden_size, streams, weights // sites, kind),
            _forward(spec, model.hidden_size, item, streams, kind),
            _evaluation(spec, model, size, settings, item, kind) + (0 if kept else behind) if rest else 0,
        ),
    }
    if settings.resample_steps:
        parts["buffer"] += FLOAT * _candidates(settings) * model.hidden_size * streams
    lasting = parts["runtime"] + parts["model"]
    return {**parts, "heap": int(HEAP[kind] * (sum(parts.values()) - lasting))}


def sae_parameters(architecture: str, width: int, settings: Settings) -> int:
    """Parameters of one SAE."""
    latents = settings.latents
    count = (1 if settings.tie_weights else 2) * width * latents + latents + width
    if architecture == "jumprelu":
        return count + latents
    if architecture == "gated":
        return count + 2 * latents
    return count + (width * width if architecture == "skip_transcoder" else 0)


RUNTIME = {"cpu": 420 * MIB, "jetson": 900 * MIB, "cuda": 600 * MIB}
"""torch, transformers and Python themselves. cpu: measured with torch 2.13; the others: a CUDA context on top."""

HEAP = {"cpu": 0.07, "jetson": 0.16, "cuda": 0.16}
"""What lies unused between allocations, as a share of all that the training allocates. cpu: measured; the others: guessed."""

MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}
"""Numbers that the optimiser keeps for each weight."""

CPU_STEP = {
    "standard": (0.9, 2.05, 5.0, 0.55, 0.0),
    "jumprelu": (1.2, 6.55, 3.55, 1.7, 0.0),
    "gated": (1.2, 4.3, 5.55, 1.25, 0.0),
    "topk": (1.0, 0.0, 5.4, 1.3, 7.4),
    "batch_topk": (1.0, 0.0, 5.4, 1.3, 7.4),
    "matryoshka": (0.85, 0.45, 3.0, 0.75, 8.0),
    "skip": (0.9, 2.05, 5.0, 0.55, 0.0),
    "transcoder": (0.9, 0.0, 5.2, 1.8, 7.7),
    "skip_transcoder": (0.95, 0.0, 5.85, 1.65, 7.7),
    "transcoder by L1": (1.05, 1.4, 3.65, 1.25, 0.0),
    "skip_transcoder by L1": (0.75, 2.1, 5.6, 0.95, 0.0),
}
"""What a step holds at its peak, in float32 numbers: for each token and latent, for each entry of a block of rows (sae/kernels/dense.py),
for each token and dimension, for each weight, and for each entry that a top-k keeps. Counted in the tensors of steps of many
sizes, with half of the latents dead (tests/training/test_step_memory.py); least sums that lie above all of them."""
SPARSE_ADVANTAGE = 8
"""A top-k of as many as a share of 1/8 of the latents takes the dense path; see sae/kernels/sparse.py."""
DENSE_BY_LATENT, DENSE_BY_KEPT = 2.5, 3.0
"""What that path holds besides for each token and latent, and for each entry kept; counted likewise."""
PREFIX = 3.0
"""What matryoshka holds besides for each prefix, token and dimension."""
PREFIXES = 5
"""Of matryoshka's latents, where no widths are given; see sae/matryoshka.py."""
BLOCK_ROWS = 512
"""Of a block on the CPU; see sae/kernels/dense.py."""

GPU_STEP = {
    "standard": (1.55, 1.15, 4.5, 0.7, 0.0),
    "jumprelu": (1.25, 5.7, 4.5, 1.3, 0.0),
    "gated": (1.25, 4.7, 6.5, 1.3, 0.0),
    "topk": (1.25, 1.15, 5.0, 0.7, 5.0),
    "batch_topk": (1.25, 1.15, 5.0, 0.7, 5.0),
    "matryoshka": (1.25, 1.15, 5.0, 0.7, 5.0),
    "skip": (1.55, 1.15, 4.5, 0.7, 0.0),
    "transcoder": (1.6, 1.15, 4.5, 0.7, 5.0),
    "skip_transcoder": (1.6, 1.15, 5.5, 0.7, 5.0),
}
"""The same on a GPU, where whole batches are worked on, in blocks of as many entries. Counted in the tensors of steps on a device
without data, with half of the latents dead (tests/training/test_accelerator.py): no GPU was there to measure on."""
BLOCK_ENTRIES = 1 << 24
"""Of a block of rows on a GPU; see sae/kernels/dense.py. Entries gathered one by one take as much; see sae/kernels/sparse.py."""

CANDIDATE_ROWS, CANDIDATE_BATCHES = 8192, 16
"""What dead latents are resampled from; see sae/candidates.py."""
CODES, CODES_OF_OTHERS = {"jumprelu": 3.1, "gated": 3.3}, 2.3
"""What an SAE holds while it reconstructs, for each entry of a block; counted likewise."""
RECONSTRUCTED = 3.1
"""And for each token and dimension: normalised, reconstructed, restored."""
HIDDEN = 4
"""What the model and its hooks hold of a hidden state, in the model's dtype."""


def _model_item(spec: TrainingSpec, device: str) -> int:
    """Bytes of one of the model's weights as it is loaded."""
    if spec.dtype == "float32":
        return 4
    return 4 if spec.dtype == "auto" and (device == "cpu" or spec.device == "cpu") else 2


def _buffer(spec: TrainingSpec, settings: Settings, width: int, streams: int, kind: str) -> int:
    """Numbers in the shuffling buffer, which has the model's dtype. On a card of its own the next window is filled meanwhile."""
    context = spec.dataset.context_length
    rows = contexts_of_a_block(settings.batch_size, context, contexts_at_a_time(kind, context)) * context
    return (rows * (2 if kind == "cuda" else 1) + (rows + 1) // 2) * width * streams


def _candidates(settings: Settings) -> int:
    """Rows that are gathered before a resampling."""
    batches = min(CANDIDATE_BATCHES, settings.resample_steps or 0)
    return min(CANDIDATE_ROWS, batches * settings.batch_size)


def step_bytes(architecture: str, settings: Settings, width: int, streams: int, weights: int, kind: str) -> int:
    """What a step of one site holds at its peak, besides the SAE and its gradients.

    Args:
        architecture: of the SAE.
        settings: the run's numbers.
        width: of the model.
        streams: tensors of activations that a batch has, of all sites.
        weights: bytes of the SAE's.
        kind: of device: `cpu`, `jetson` or `cuda`.
    """
    tokens = min(settings.micro_batch_size, settings.batch_size)
    batch = settings.batch_size * width * (streams + 1)
    # A piece's gradient stands beside the sum that it is added to.
    added = weights if tokens < settings.batch_size else 0
    k = settings.k or 0
    if kind == "cpu":
        by_l1 = architecture in TRANSCODERS and settings.k is None
        by_latent, by_entry, by_dimension, by_weight, by_kept = CPU_STEP[architecture + " by L1" * by_l1]
    else:
        by_latent, by_entry, by_dimension, by_weight, by_kept = GPU_STEP[architecture]
    entries = _block(tokens, settings, kind)
    kept = by_kept * tokens * k
    if k * SPARSE_ADVANTAGE >= settings.latents:
        kept = tokens * (DENSE_BY_LATENT * settings.latents + DENSE_BY_KEPT * k)
    if architecture == "matryoshka":
        by_dimension += PREFIX * len(settings.matryoshka_widths or range(PREFIXES))
    numbers = tokens * (by_latent * settings.latents + by_dimension * width) + by_entry * entries + kept + batch
    return int(FLOAT * numbers + by_weight * weights) + added


def _block(tokens: int, settings: Settings, kind: str) -> int:
    """Entries of a block of so many tokens; see sae/kernels/dense.py."""
    if kind == "cpu":
        return min(tokens, BLOCK_ROWS) * settings.latents
    return min(tokens * settings.latents, BLOCK_ENTRIES)


def _forward(spec: TrainingSpec, width: int, item: int, streams: int, kind: str) -> int:
    """A pass of the model on one micro-batch: the widest moment of a layer is in its MLP."""
    context = spec.dataset.context_length
    return contexts_at_a_time(kind, context) * context * width * item * (16 + streams)


def _evaluation(spec: TrainingSpec, model: ModelInfo, size: ModelSize, settings: Settings, item: int, kind: str) -> int:
    """A pass with an SAE in its place: when the SAE is asked, or when there are logits, and one context's logarithms."""
    context = spec.dataset.context_length
    fitting = LOGITS_AT_ONCE // (context * max(1, size.vocabulary))
    contexts = max(1, min(contexts_at_a_time(kind, context), fitting))
    tokens = contexts * context
    logits = size.vocabulary * (tokens * item + 2 * context * FLOAT) + HIDDEN * tokens * model.hidden_size * item
    return max(
        logits,
        reconstruction_bytes(spec.architecture, settings, model.hidden_size, tokens, kind)
        + HIDDEN * tokens * model.hidden_size * item,
        _forward(spec, model.hidden_size, item, 1, kind),
    )


def reconstruction_bytes(architecture: str, settings: Settings, width: int, tokens: int, kind: str) -> int:
    """What an SAE holds at its peak while it reconstructs so many tokens; see SparseAutoencoder.reconstruct."""
    entries = _block(min(tokens, settings.micro_batch_size), settings, kind)
    numbers = RECONSTRUCTED * tokens * width + CODES.get(architecture, CODES_OF_OTHERS) * entries
    return int(FLOAT * numbers)


def _seconds(spec: TrainingSpec, model: ModelInfo, size: ModelSize, figures: MachineFigures) -> float | None:
    values = with_defaults(spec)
    steps = count_steps(values, int(values["batch_size"]), None)
    if steps is None:
        return None
    layers = spec.layers or (model.middle_layer,)
    return predict_seconds(
        figures,
        architecture=spec.architecture,
        steps=steps,
        batch_size=int(values["batch_size"]),
        width=model.hidden_size,
        latents=count_latents(values, model.hidden_size),
        sites=len(layers) * len(spec.hook_points),
        forward_parameters=sum(size.layers[: max(layers) + 1]),
    )


def _what_fits(spec: TrainingSpec, model: ModelInfo, size: ModelSize, device: str, available: int) -> str:
    """The smallest change with which it fits: a smaller micro-batch costs only time, then a smaller batch, then fewer layers,
    then fewer latents."""

    def fits(changed: TrainingSpec) -> bool:
        return _fits(memory_parts(changed, model, size, device, rest=False), available)

    tokens = spec_batch = int(with_defaults(spec)["batch_size"])
    while tokens > SMALLEST_MICRO_BATCH:
        tokens //= 2
        pieces = msgspec.structs.replace(spec, hyperparameters={**spec.hyperparameters, "micro_batch_size": tokens})
        if fits(pieces):
            return f"It fits with micro_batch_size {tokens}."
    without = {name: value for name, value in spec.hyperparameters.items() if name != "micro_batch_size"}
    batch = spec_batch
    while batch // 2 >= SMALLEST_BATCH:
        batch //= 2
        halved = msgspec.structs.replace(spec, hyperparameters={**without, "batch_size": batch})
        if _possible(halved, model) and fits(halved):
            return f"It fits with batch_size {batch}."
    in_pieces = f" at micro_batch_size {tokens}" if tokens < spec_batch else ""
    layers = spec.layers or (model.middle_layer,)
    values = {**spec.hyperparameters, "micro_batch_size": tokens}
    for count in range(len(layers) - 1, 0, -1):
        if fits(msgspec.structs.replace(spec, layers=layers[:count], hyperparameters=values)):
            return f"It fits with {count} layer{'s' if count > 1 else ''}{in_pieces}."
    latents = count_latents(with_defaults(spec), model.hidden_size)
    others = {name: value for name, value in values.items() if name not in ("expansion_factor", "latent_dim")}
    one = " and one layer" if len(layers) > 1 else ""
    for factor in (32, 24, 16, 12, 8, 6, 4, 3, 2, 1):
        narrower = msgspec.structs.replace(
            spec, layers=layers[:1], hyperparameters={**others, "expansion_factor": float(factor)}
        )
        if factor * model.hidden_size < latents and _possible(narrower, model) and fits(narrower):
            return f"It fits with an expansion factor of {factor}{one}{in_pieces}."
    smaller = {**others, "expansion_factor": 1.0, "batch_size": SMALLEST_BATCH, "micro_batch_size": None}
    least = msgspec.structs.replace(spec, layers=layers[:1], hyperparameters=smaller)
    if _possible(least, model) and fits(least):
        return f"It fits with one layer, an expansion factor of 1 and a batch of {SMALLEST_BATCH} tokens."
    return f"Even the smallest SAE needs more than the {available / GIB:.1f} GiB that are free: choose a smaller model."


def _fits(parts: dict[str, int], available: int) -> bool:
    return sum(parts.values()) <= available * (1 - SPARE)


def _possible(spec: TrainingSpec, model: ModelInfo) -> bool:
    try:
        return resolve(spec, model.hidden_size, dataset_tokens=spec.dataset.context_length) is not None
    except SpecError:
        return False
