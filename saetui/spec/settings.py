"""The numbers of a training, worked out from its spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Union

import msgspec

from saetui.display.figures import plain_number
from saetui.spec.hyperparameter import read_widths
from saetui.spec.hyperparameters import HYPERPARAMETERS, complete
from saetui.spec.problems import Problem, SpecError
from saetui.spec.training_spec import TrainingSpec

DEAD_WINDOW_TOKENS = 10_000_000
SPARSITY_WARMUP = 0.05
LEARNING_RATE_WARMUP = 0.01
LEARNING_RATE = 2e-4
LEARNING_RATE_LATENTS = 16_384
LEARNING_RATE_STEPS = 250_000
LARGEST_LEARNING_RATE = {"jumprelu": 2.5e-3}
LARGEST_OF_OTHERS = 4e-3
"""16,384 latents want 2e-4 in runs of some 250,000 steps (Gao et al. 2024, arXiv 2406.04093, appendix A; dictionary_learning's
runs). Wider SAEs want less, with the square root of the width. Shorter runs want more: Adam moves a weight by at most the
rate in a step, so a few steps at a low rate do not go far enough. The square root of their number lies between that (the number
itself) and what the noise of the gradients would allow (no change). Above the largest rate, latents die: in runs of some hundred
steps, and for jumprelu in longer runs too. tests/benchmarks/defaults.py has the measurements."""
L1_STRENGTH = {"standard": 0.07, "skip": 0.07, "gated": 0.14}
"""l1_alpha · √d_in. In units in which a coordinate has mean square 1, the L1 of codes with the same L0 grows with √d_in, and the
mean squared error does not. Measured on the bundled model, where L0 is 71 after 300 steps and 44 after 2,000; at d_in 768 it is
2 in the papers' units. The penalty of a gated SAE shrinks nothing, so for the same L0 it must be heavier."""

BUFFER_BATCHES = 16
"""Batches in the shuffling buffer: neighbours in a batch come from hundreds of contexts."""

_TOKENS_PER_PASS = {"cpu": 2048, "jetson": 2048, "cuda": 8192}
"""Of a forward pass. On a processor more does not help; on a large GPU a small model waits for its launches with fewer."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The hyperparameters with nothing left to work out; None means off, or not used by the architecture.

    Sizes are in tokens, lengths of time in steps.

    Attributes:
        warmup_steps: of the learning rate; 0 with one_cycle, which has its own rise.
        values: all of them, by their names in the table; with those that only the architecture reads. Empty in checkpoints
            of before this field: a resumed SAE has its options from its own description.
    """

    values: dict[str, Any] = {}
    latents: int
    batch_size: int
    num_steps: int
    learning_rate: float
    optimizer: str
    lr_schedule: str
    decay_steps: int
    grad_clip_norm: Union[float, None]
    weight_decay: float
    decoder_norm: str
    normalize_activations: Literal["none", "constant_norm", "layer_norm"]
    micro_batch_size: int
    dead_neuron_threshold: float
    dead_neuron_window: int
    checkpoint_interval: int
    keep_first: bool
    keep_last: int
    keep_every: Union[int, None]
    keep_best: bool
    log_interval: int
    eval_interval: int
    max_activation_norm: Union[float, None] = None
    l1_alpha: Union[float, None] = None
    l0_alpha: Union[float, None] = None
    l0_target: Union[float, None] = None
    warmup_steps: int = 0
    sparsity_warmup_steps: int = 0
    tie_weights: bool = False
    resample_steps: Union[int, None] = None
    k: Union[int, None] = None
    matryoshka_widths: Union[tuple[int, ...], None] = None
    skip_coeff: Union[float, None] = None

    @property
    def sparsity_coefficient(self) -> Union[float, None]:
        """The full weight of the sparsity penalty, L1 or L0; None where k sets the sparsity."""
        return self.l0_alpha if self.l1_alpha is None else self.l1_alpha

    @property
    def target_l0(self) -> Union[float, None]:
        """The L0 that the spec asks for; None where it follows from a penalty."""
        return self.l0_target if self.k is None else float(self.k)


def with_defaults(spec: TrainingSpec) -> dict[str, Any]:
    """The hyperparameters with every default filled in; of a linked group only the one that was set, or the usual one."""
    return complete(spec.architecture, spec.hyperparameters)


def count_steps(values: dict[str, Any], batch_size: int, dataset_tokens: int | None) -> int | None:
    """The length of a run in steps; None where it is given in passes and the dataset's tokens are not known yet."""
    if values.get("num_tokens") is not None:
        return max(1, math.ceil(int(values["num_tokens"]) / batch_size))
    if values.get("num_epochs") is not None:
        if dataset_tokens is None:
            return None
        return max(1, round(float(values["num_epochs"]) * dataset_tokens / batch_size))
    return int(values["num_steps"])


def count_latents(values: dict[str, Any], d_in: int) -> int:
    """The number of latents of the SAE."""
    if values.get("latent_dim") is not None:
        return int(values["latent_dim"])
    return max(1, round(float(values["expansion_factor"]) * d_in))


def resolve(spec: TrainingSpec, d_in: int, dataset_tokens: int | None = None) -> Settings | None:
    """Work out every value; None while the length of the run is not known for want of the dataset's tokens.

    Args:
        spec: its fields are sound.
        d_in: the width of the activations.
        dataset_tokens: tokens in one pass over the training part of the dataset.

    Raises:
        SpecError: values that are sound alone and not together, e.g. k above the number of latents.
    """
    values = with_defaults(spec)
    problems = check_together(values, d_in)
    if problems:
        raise SpecError(problems)
    batch_size = int(values["batch_size"])
    num_steps = count_steps(values, batch_size, dataset_tokens)
    if num_steps is None:
        return None
    latents = count_latents(values, d_in)
    values |= _derived(values, spec.architecture, d_in, latents, num_steps)
    decays = values["lr_schedule"] == "constant"
    if "k" in values or "top_k_sparsity" in values:
        values |= {"k": count_active(values, latents), "aux_k": min(latents, values["aux_k"])}
    if values.get("matryoshka_widths") is not None:
        values["matryoshka_widths"] = read_widths(values["matryoshka_widths"])
    fields = {name: value for name, value in values.items() if name in Settings.__struct_fields__}
    fields |= {
        "values": values,
        "latents": latents,
        "num_steps": num_steps,
        "decay_steps": round(num_steps * float(values["decay_fraction"])) if decays else 0,
        "micro_batch_size": min(values["micro_batch_size"], batch_size),
    }
    return Settings(**fields)


def _learning_rate(architecture: str, latents: int, num_steps: int) -> float:
    for_width = math.sqrt(LEARNING_RATE_LATENTS / latents)
    for_length = max(1.0, math.sqrt(LEARNING_RATE_STEPS / num_steps))
    return min(LEARNING_RATE * for_width * for_length, LARGEST_LEARNING_RATE.get(architecture, LARGEST_OF_OTHERS))


def _derived(values: Mapping[str, Any], architecture: str, d_in: int, latents: int, num_steps: int) -> dict[str, Any]:
    """The values that follow from others where the spec leaves them open."""
    batch_size = int(values["batch_size"])
    found: dict[str, Any] = {
        "learning_rate": _two_digits(_learning_rate(architecture, latents, num_steps)),
        "warmup_steps": math.ceil(num_steps * LEARNING_RATE_WARMUP),
        "micro_batch_size": batch_size,
        "dead_neuron_window": max(1, min(DEAD_WINDOW_TOKENS, num_steps * batch_size // 10)),
        "sparsity_warmup_steps": round(num_steps * SPARSITY_WARMUP),
        "aux_k": min(latents, max(1, d_in // 2)),
    }
    if architecture in L1_STRENGTH:
        found["l1_alpha"] = _two_digits(L1_STRENGTH[architecture] / math.sqrt(d_in))
    return {name: value for name, value in found.items() if name in values and values[name] is None}


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def count_active(values: dict[str, Any], latents: int) -> int:
    """k, which `top_k_sparsity` gives as a percentage of the latents."""
    if values.get("top_k_sparsity") is not None:
        return max(1, min(latents, round(float(values["top_k_sparsity"]) / 100 * latents)))
    return int(values["k"])


def check_together(values: dict[str, Any], d_in: int) -> list[Problem]:
    """The problems of values that are sound alone and not together."""
    problems = []
    latents = count_latents(values, d_in)
    limit = int(HYPERPARAMETERS["latent_dim"].limits[1])
    if latents > limit:
        problems.append(_problem("expansion_factor", f"{latents} latents are above the limit of {limit}.", "Lower it."))
    for name in ("k", "l0_target"):
        if values.get(name) is not None and values[name] > latents:
            message = f"{plain_number(values[name])} is more than the {latents} latents of the SAE."
            problems.append(_problem(name, message, f"Lower {name} or widen the SAE."))
    if values.get("matryoshka_widths") is not None:
        problems += _check_widths(values["matryoshka_widths"], latents)
    return problems


def _check_widths(text: str, latents: int) -> list[Problem]:
    widths = read_widths(text)
    if widths[-1] != latents:
        message = f"{text} ends with {widths[-1]}, but the SAE has {latents} latents."
        fitting = [width for width in widths if width < latents]
        return [_problem("matryoshka_widths", message, f"Write {','.join(map(str, [*fitting, latents]))}.")]
    return []


def _problem(name: str, message: str, suggestion: str) -> Problem:
    return Problem(field=f"hyperparameters.{name}", message=message, suggestion=suggestion)


def contexts_per_pass(kind: str, context_length: int) -> int:
    """The contexts in a forward pass: enough tokens to keep a device busy, few enough to save memory.

    `kind`: of device: `cpu`, `jetson` (a GPU in the processor's memory) or `cuda` (a card of its own).
    """
    return max(1, _TOKENS_PER_PASS[kind] // context_length)


def contexts_per_window(batch_size: int, context_length: int, per_pass: int, contexts: int | None = None) -> int:
    """The contexts that the shuffling buffer reads for each of its windows: whole forward passes.

    `per_pass`: contexts in a forward pass; `contexts`: the number to train on, where it is known.
    """
    wanted = math.ceil(BUFFER_BATCHES * batch_size / context_length)
    if contexts is not None:
        wanted = max(1, min(wanted, contexts))
    return math.ceil(wanted / per_pass) * per_pass
