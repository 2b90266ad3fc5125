"""How much memory a training needs, by parts.

The memory is that of the trainer's process: resident memory on a CPU, and on a board whose GPU shares it; on a card of its
own, the memory that torch reserves there. Sizes that follow from the spec are exact. The tensors of a step were counted
(tests/training/test_step_memory.py). What torch itself needs was fitted to measured peaks (tests/benchmarks/memory.py) such
that no estimate is too low.
"""

from __future__ import annotations

from saetui.catalog.models import ModelInfo, ModelSize
from saetui.formats import step_sizes
from saetui.spec.architectures import TRANSCODERS
from saetui.spec.settings import Settings, contexts_per_pass, contexts_per_window, resolve
from saetui.spec.training_spec import TrainingSpec

FLOAT = 4
"""Bytes of a float32."""
MIB = 1 << 20
KEPT_REST = 256 * MIB
"""The layers behind the last site stay loaded between evaluations if they are not larger than this."""

RUNTIME = {"cpu": 420 * MIB, "jetson": 900 * MIB, "cuda": 600 * MIB}
"""torch, transformers and Python themselves. cpu: measured with torch 2.13; the others: with a CUDA context added."""

UNUSED = {"cpu": 0.07, "jetson": 0.16, "cuda": 0.16}
"""Memory that lies unused between allocations, as a share of all that the training allocates. cpu: measured; the others: guessed."""

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
"""What a step holds at its peak, in float32 numbers: for each token and latent; for each entry of a block of rows
(sae/kernels/dense.py); for each token and dimension; for each weight; for each entry that a top-k keeps. Counted in the tensors
of steps of many sizes, with half of the latents dead (tests/training/test_step_memory.py): the least sums that no count exceeds."""
DENSE_BY_LATENT, DENSE_BY_KEPT = 2.5, 3.0
"""What the dense path holds instead, for each token and latent and for each entry kept; counted likewise."""
PREFIX = 3.0
"""What matryoshka adds for each prefix, token and dimension."""

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
"""The same on a GPU, which works on whole batches, in blocks of as many entries. Counted in the tensors of steps on a device
without data, with half of the latents dead (tests/training/test_accelerator.py): there was no GPU to measure on."""

CODES, CODES_OF_OTHERS = {"jumprelu": 3.1, "gated": 3.3}, 2.3
"""What an SAE holds while it reconstructs, for each entry of a block; counted likewise."""
RECONSTRUCTED = 3.1
"""And for each token and dimension: normalised, reconstructed, restored."""
HIDDEN = 4
"""Copies of a hidden state, in the model's dtype, that the model and its hooks hold."""


def memory_parts(
    spec: TrainingSpec, model: ModelInfo, size: ModelSize, device: str, *, rest: bool = True
) -> dict[str, int]:
    """The bytes of each part at the training's peak.

    Args:
        spec, model, size: the middle layer is assumed where the spec names none.
        device: `cpu`, `cuda` or `jetson`.
        rest: whether evaluations load the layers behind the last site, for the cross-entropy.

    Raises:
        SpecError: values that are sound alone and not together.
    """
    settings = resolve(spec, model.hidden_size, dataset_tokens=spec.dataset.context_length)
    assert settings is not None, "with a number of tokens every length is known"
    layers = spec.layers or (model.middle_layer,)
    sites = len(layers) * len(spec.hook_points)
    weights = FLOAT * sae_parameters(spec.architecture, model.hidden_size, settings) * sites
    item = _model_item(spec, device)
    # A job that asks for the processor runs there on every machine.
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
        candidates = min(
            step_sizes.CANDIDATE_ROWS, min(step_sizes.CANDIDATE_BATCHES, settings.resample_steps) * settings.batch_size
        )
        parts["buffer"] += FLOAT * candidates * model.hidden_size * streams
    lasting = parts["runtime"] + parts["model"]
    return {**parts, "heap": int(UNUSED[kind] * (sum(parts.values()) - lasting))}


def sae_parameters(architecture: str, width: int, settings: Settings) -> int:
    """Parameters of one SAE."""
    latents = settings.latents
    count = (1 if settings.tie_weights else 2) * width * latents + latents + width
    if architecture == "jumprelu":
        return count + latents
    if architecture == "gated":
        return count + 2 * latents
    return count + (width * width if architecture == "skip_transcoder" else 0)


def step_bytes(architecture: str, settings: Settings, width: int, streams: int, weights: int, kind: str) -> int:
    """What a step of one site holds at its peak, besides the SAE and its gradients.

    Args:
        architecture, settings, width: of the SAE, the run and the model.
        streams: tensors of activations in a batch, of all sites.
        weights: bytes of the SAE's weights.
        kind: of device: `cpu`, `jetson` or `cuda`.
    """
    tokens = min(settings.micro_batch_size, settings.batch_size)
    batch = settings.batch_size * width * (streams + 1)
    # The gradient of a micro-batch stands beside the sum to which it is added.
    added = weights if tokens < settings.batch_size else 0
    k = settings.k or 0
    if kind == "cpu":
        by_l1 = architecture in TRANSCODERS and settings.k is None
        by_latent, by_entry, by_dimension, by_weight, by_kept = CPU_STEP[architecture + " by L1" * by_l1]
    else:
        by_latent, by_entry, by_dimension, by_weight, by_kept = GPU_STEP[architecture]
    entries = _block(tokens, settings, kind)
    kept = by_kept * tokens * k
    if k * step_sizes.SPARSE_ADVANTAGE >= settings.latents:
        kept = tokens * (DENSE_BY_LATENT * settings.latents + DENSE_BY_KEPT * k)
    if architecture == "matryoshka":
        by_dimension += PREFIX * len(settings.matryoshka_widths or step_sizes.PREFIX_SHARES)
    numbers = tokens * (by_latent * settings.latents + by_dimension * width) + by_entry * entries + kept + batch
    return int(FLOAT * numbers + by_weight * weights) + added


def reconstruction_bytes(architecture: str, settings: Settings, width: int, tokens: int, kind: str) -> int:
    """What an SAE holds at its peak while it reconstructs so many tokens; see SparseAutoencoder.reconstruct."""
    entries = _block(min(tokens, settings.micro_batch_size), settings, kind)
    return int(FLOAT * (RECONSTRUCTED * tokens * width + CODES.get(architecture, CODES_OF_OTHERS) * entries))


def _model_item(spec: TrainingSpec, device: str) -> int:
    """Bytes of one of the model's weights in memory."""
    if spec.dtype == "float32":
        return 4
    return 4 if spec.dtype == "auto" and "cpu" in (device, spec.device) else 2


def _buffer(spec: TrainingSpec, settings: Settings, width: int, streams: int, kind: str) -> int:
    """Numbers in the shuffling buffer. A card of its own fills the next window while it trains."""
    context = spec.dataset.context_length
    rows = contexts_per_window(settings.batch_size, context, contexts_per_pass(kind, context)) * context
    return (rows * (2 if kind == "cuda" else 1) + (rows + 1) // 2) * width * streams


def _block(tokens: int, settings: Settings, kind: str) -> int:
    """Entries of a block of so many tokens; see sae/kernels/dense.py."""
    if kind == "cpu":
        return min(tokens, step_sizes.BLOCK_ROWS) * settings.latents
    return min(tokens * settings.latents, step_sizes.BLOCK_ENTRIES)


def _forward(spec: TrainingSpec, width: int, item: int, streams: int, kind: str) -> int:
    """A pass of the model over one micro-batch; it holds most in the MLP of a layer."""
    context = spec.dataset.context_length
    return contexts_per_pass(kind, context) * context * width * item * (16 + streams)


def _evaluation(spec: TrainingSpec, model: ModelInfo, size: ModelSize, settings: Settings, item: int, kind: str) -> int:
    """A pass with an SAE spliced in: the larger of the SAE's own peak and that of the logits and one context's logarithms."""
    context = spec.dataset.context_length
    fitting = step_sizes.LOGITS_AT_ONCE // (context * max(1, size.vocabulary))
    tokens = max(1, min(contexts_per_pass(kind, context), fitting)) * context
    hidden = HIDDEN * tokens * model.hidden_size * item
    return max(
        size.vocabulary * (tokens * item + 2 * context * FLOAT) + hidden,
        reconstruction_bytes(spec.architecture, settings, model.hidden_size, tokens, kind) + hidden,
        _forward(spec, model.hidden_size, item, 1, kind),
    )
