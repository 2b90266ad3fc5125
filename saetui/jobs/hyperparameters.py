"""The one table of hyperparameters: it drives the form, its help, the ranges, `-o`, templates and validation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Union

from saetui.errors import InvalidInput

ARCHITECTURES = ("standard", "topk")
RELU = ("standard",)
TOPK = ("topk",)

Value = Union[bool, int, float, str, None]


class Section(str, Enum):
    """The parts of the form."""

    BASIC = "Basic"
    SPARSITY = "Sparsity"
    OPTIMIZATION = "Optimization"
    CHECKPOINTS = "Checkpoints"


class Kind(str, Enum):
    """The type of a value."""

    INTEGER = "a whole number"
    NUMBER = "a number"
    SWITCH = "true or false"
    CHOICE = "one of a list"


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One row of the table.

    Attributes:
        unit: what is counted or measured; empty for a pure number.
        default: for every architecture that has none of its own in `defaults`.
        none_means: what an empty value stands for; empty: a value is needed.
        recommended: outside these limits: a warning.
        limits: outside these: an error.
        architectures: which use it; others hide it and refuse it.
        help: what it does; which way to turn it.
    """

    name: str
    section: Section
    kind: Kind
    help: str
    default: Value
    unit: str = ""
    defaults: Mapping[str, Value] = field(default_factory=dict)
    none_means: str = ""
    recommended: tuple[float, float] | None = None
    limits: tuple[float, float] = (-math.inf, math.inf)
    choices: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ARCHITECTURES
    advanced: bool = False

    @property
    def accepts_none(self) -> bool:
        """Whether it may be left empty."""
        return bool(self.none_means)

    def default_for(self, architecture: str) -> Value:
        """The value that a job of this architecture gets when it says nothing."""
        return self.defaults.get(architecture, self.default)

    def range_text(self) -> str:
        """The recommended range, else the limits, for people."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind is Kind.SWITCH:
            return "true or false"
        low, high = self.recommended or self.limits
        if math.isinf(high):
            return f"at least {plain(low)}" if not math.isinf(low) else ""
        return f"{plain(low)} to {plain(high)}"

    def check(self, value: object) -> str | None:
        """Why a value cannot be, as the end of a sentence that begins with the value; None where it can."""
        if value is None:
            return None if self.accepts_none else f"must be {self._wanted()}, not empty"
        if self.kind is Kind.SWITCH:
            return None if isinstance(value, bool) else "must be true or false"
        if self.kind is Kind.CHOICE:
            return None if value in self.choices else f"must be one of {', '.join(self.choices)}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be {self.kind.value}"
        if self.kind is Kind.INTEGER and not (isinstance(value, int) or value.is_integer()):
            return "must be a whole number"
        if not math.isfinite(value):
            return "must be a finite number"
        low, high = self.limits
        if value < low:
            return f"is below its limit of {plain(low)}"
        if value > high:
            return f"is above its limit of {plain(high)}"
        return None

    def outside_recommended(self, value: Value) -> bool:
        """Whether an allowed value deserves a warning."""
        if self.recommended is None or isinstance(value, (bool, str)) or value is None:
            return False
        low, high = self.recommended
        return not low <= value <= high

    def normal(self, value: Value) -> Value:
        """The same value in the row's own type: 512 for 512.0, 1.0 for 1."""
        if value is None or isinstance(value, (bool, str)):
            return value
        return int(value) if self.kind is Kind.INTEGER else float(value)

    def parse(self, text: str) -> Value:
        """Read a value that was typed.

        Raises:
            InvalidInput: it is not of the row's kind, or out of its limits.
        """
        value = self._read(text.strip())
        wrong = self.check(value)
        if wrong:
            raise InvalidInput(f"{self.name}: {text.strip() or 'an empty value'} {wrong}.")
        return self.normal(value)

    def show(self, value: Value) -> str:
        """A value as it is typed and shown; empty for None."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else plain(value)

    def _read(self, text: str) -> Value:
        lower = text.lower()
        if (
            lower in ("", "none", "null", "auto", "off")
            and self.kind is not Kind.CHOICE
            and self.kind is not Kind.SWITCH
        ):
            return None
        if self.kind is Kind.SWITCH:
            return {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False,
                    "0": False}.get(lower, text)  # fmt: skip
        if self.kind is Kind.CHOICE:
            return text
        cleaned = lower.replace("_", "").replace(",", "")
        scale = {"k": 1e3, "m": 1e6}.get(cleaned[-1:], 1.0)
        try:
            number = float(cleaned[:-1] if scale != 1.0 else cleaned) * scale
        except ValueError:
            return text
        return int(number) if self.kind is Kind.INTEGER and number.is_integer() and abs(number) < 1e15 else number

    def _wanted(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else self.kind.value


def plain(number: float) -> str:
    """A number the way people write it: 100000, 0.001, 6e-05, 1.5."""
    if float(number).is_integer() and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.6g}"


def _rows() -> tuple[Hyperparameter, ...]:
    row = Hyperparameter
    basic, sparsity, optimization, checkpoints = Section
    integer, number, switch, choice = Kind
    return (
        row(name="expansion_factor", section=basic, kind=number, default=8.0, unit="× d_in", recommended=(2, 32),
            limits=(0.01, 1024),
            help="How many latents the SAE has for each dimension of the model. "
                 "More find rarer features and cost memory and time in proportion."),
        row(name="latent_dim", section=basic, kind=integer, default=None, none_means="expansion factor × d_in",
            unit="latents", limits=(1, 16_777_216),
            help="The number of latents, said directly instead of through the expansion factor. "
                 "Set it when a comparison needs an exact width."),
        row(name="batch_size", section=basic, kind=integer, default=4096, unit="tokens", recommended=(512, 16384),
            limits=(1, 1_048_576),
            help="How many tokens one step learns from. "
                 "More make steadier gradients and slower steps; with fewer, lower the learning rate."),
        row(name="num_steps", section=basic, kind=integer, default=100_000, unit="steps", recommended=(1000, 1_000_000),
            limits=(1, 1_000_000_000),
            help="How long the training goes on, in optimiser steps. "
                 "More lower the error and revive more latents; time grows in proportion."),
        row(name="num_tokens", section=basic, kind=integer, default=None, none_means="steps × batch size",
            unit="tokens", limits=(1, 10**13),
            help="How long the training goes on, in tokens, instead of steps. "
                 "The usual measure in papers: from some 10 million for a small model to billions."),
        row(name="num_epochs", section=basic, kind=number, default=None, none_means="as long as the steps last",
            unit="passes", limits=(0.001, 100_000),
            help="How long the training goes on, in passes over the dataset, instead of steps. "
                 "Above about four passes little new is learned."),
        row(name="l1_alpha", section=sparsity, kind=number, default=1e-3, recommended=(1e-4, 1e-1), limits=(0, 1000),
            architectures=RELU,
            help="The weight of the L1 penalty against the mean squared error of a coordinate; times d_in it is the "
                 "coefficient that papers quote. Raise it when L0 is too high, lower it when FVU is."),
        row(name="k", section=sparsity, kind=integer, default=32, unit="latents", recommended=(8, 256),
            limits=(1, 1_048_576), architectures=TOPK,
            help="How many latents may be active for a token: L0 is set, not sought. "
                 "Raise it for a smaller error, lower it for latents that are easier to read."),
        row(name="top_k_sparsity", section=sparsity, kind=number, default=None, none_means="as k says", unit="% of latents",
            recommended=(0.1, 10), limits=(0.0001, 100), architectures=TOPK,
            help="k as a share of the latents, in percent, so that it scales with the width. "
                 "Raise it for a smaller error, lower it for sparser codes."),
        row(name="aux_k", section=sparsity, kind=integer, default=None, none_means="half of d_in", unit="latents",
            limits=(1, 1_048_576), architectures=TOPK, advanced=True,
            help="How many dead latents try to explain what is left over (AuxK), so that they come back. "
                 "Raise it when many stay dead."),
        row(name="aux_k_alpha", section=sparsity, kind=number, default=1 / 32, recommended=(0, 1), limits=(0, 1000),
            architectures=TOPK, advanced=True,
            help="The weight of the AuxK loss. "
                 "Raise it when latents stay dead, set it to 0 to switch AuxK off."),
        row(name="sparsity_warmup_steps", section=sparsity, kind=integer, default=None, none_means="5 % of the run",
            unit="steps", limits=(0, 1_000_000_000), architectures=RELU, advanced=True,
            help="Over how many steps the penalty rises from 0 to its full weight. "
                 "Longer keeps more latents alive at the start."),
        row(name="tie_weights", section=sparsity, kind=switch, default=False, architectures=RELU, advanced=True,
            help="Let the encoder be the transposed decoder, one matrix instead of two. "
                 "Saves memory; usually costs some quality."),
        row(name="decoder_norm", section=sparsity, kind=choice, default="unit", choices=("unit", "free"), advanced=True,
            help="unit holds every decoder row at length 1; free lets it grow and weighs the penalty by it. "
                 "Keep unit unless you follow a recipe that needs free."),
        row(name="normalize_activations", section=sparsity, kind=choice, default="constant_norm",
            choices=("constant_norm", "layer_norm", "none"), advanced=True,
            help="constant_norm scales each site by one measured number, so that penalties mean the same everywhere, and "
                 "is folded away in the result. none is for activations that are scaled already."),
        row(name="learning_rate", section=optimization, kind=number, default=1e-4, recommended=(1e-5, 1e-3),
            limits=(1e-9, 10),
            help="How far one step goes. Raise it until the loss turns unsteady, then take half; wider SAEs want less."),
        row(name="optimizer", section=optimization, kind=choice, default="adam", choices=("adam", "adamw", "sgd"),
            advanced=True,
            help="The rule that turns gradients into steps; adamw decays weights apart from the gradient. "
                 "adam is what almost everyone uses for SAEs; sgd is for experiments."),
        row(name="lr_schedule", section=optimization, kind=choice, default="constant",
            choices=("constant", "linear", "cosine", "one_cycle"), advanced=True,
            help="How the learning rate goes after its warm-up: constant until the final decay, or falling all the way. "
                 "constant is best when you may want to train on; cosine often ends a little lower."),
        row(name="warmup_steps", section=optimization, kind=integer, default=None, none_means="1 % of the run",
            unit="steps", limits=(0, 1_000_000_000), advanced=True,
            help="Over how many steps the learning rate rises from 0. "
                 "Longer helps when the loss jumps at the start."),
        row(name="decay_fraction", section=optimization, kind=number, default=0.2, unit="of the run", recommended=(0, 0.5),
            limits=(0, 1), advanced=True,
            help="The last part of the run over which a constant learning rate falls to 0. "
                 "Without any decay the result is noticeably worse."),
        row(name="grad_clip_norm", section=optimization, kind=number, default=1.0, none_means="off",
            recommended=(0.1, 10), limits=(1e-9, 1e9), advanced=True,
            help="Gradients longer than this are shortened to it. "
                 "Lower it when single steps spoil the run; empty switches it off."),
        row(name="weight_decay", section=optimization, kind=number, default=0.0, recommended=(0, 0.1), limits=(0, 10),
            advanced=True,
            help="How strongly weights are pulled towards 0. "
                 "SAEs are usually trained without; with unit decoder norm it acts on the encoder."),
        row(name="micro_batch_size", section=optimization, kind=integer, default=None, none_means="the whole batch",
            unit="tokens", limits=(1, 1_048_576), advanced=True,
            help="The batch is worked through in pieces of this size; the result is that of the full batch. "
                 "Lower it when memory is short; steps get a little slower."),
        row(name="dead_neuron_threshold", section=optimization, kind=number, default=0.0, recommended=(0, 1e-6),
            limits=(0, 1000), advanced=True,
            help="A latent fires when its activation exceeds this. "
                 "Leave it at 0 unless tiny activations should not count as life."),
        row(name="dead_neuron_window", section=optimization, kind=integer, default=None,
            none_means="10 M tokens, or a tenth of a shorter run", unit="tokens", limits=(1, 10**13), advanced=True,
            help="A latent that has not fired for so many tokens counts as dead, and is revived by the architecture's "
                 "means. Shorter revives sooner but may catch latents that are only rare."),
        row(name="resample_steps", section=optimization, kind=integer, default=None, none_means="off", unit="steps",
            limits=(1, 1_000_000_000), architectures=RELU, advanced=True,
            help="Every so many steps dead latents start anew on inputs that are explained badly (Bricken et al. 2023). "
                 "Switch it on, at about a tenth of the run, when many latents die."),
        row(name="ghost_grad_penalty", section=optimization, kind=switch, default=False, architectures=RELU,
            advanced=True,
            help="Dead latents get a gradient through an exponential that lets them explain the residual (Anthropic, "
                 "January 2024). An older alternative to resampling; costs a second decoder product while any is dead."),
        row(name="checkpoint_interval", section=checkpoints, kind=integer, default=10_000, unit="steps",
            recommended=(1000, 100_000), limits=(1, 1_000_000_000),
            help="A checkpoint is saved after every so many finished steps, and at the end and every stop. "
                 "Shorter loses less when the machine goes down, and writes more."),
        row(name="keep_first", section=checkpoints, kind=switch, default=True, advanced=True,
            help="Never delete the first checkpoint of the run. "
                 "Useful to study how features form."),
        row(name="keep_last", section=checkpoints, kind=integer, default=2, unit="checkpoints", limits=(1, 100_000),
            advanced=True,
            help="How many of the newest checkpoints stay. "
                 "Two survive a fault in one; more take more room."),
        row(name="keep_every", section=checkpoints, kind=integer, default=None, none_means="off", unit="steps",
            limits=(1, 1_000_000_000), advanced=True,
            help="Also keep each checkpoint whose step is a multiple of this. "
                 "For studies of training dynamics."),
        row(name="keep_best", section=checkpoints, kind=switch, default=True, advanced=True,
            help="Also keep the checkpoint with the lowest held-out FVU. "
                 "Leave it on: the last one is not always the best."),
        row(name="log_interval", section=checkpoints, kind=integer, default=10, unit="steps", limits=(1, 1_000_000),
            advanced=True,
            help="Metrics are recorded every so many steps, as sums over all of them. "
                 "Shorter shows more detail in the charts; the cost is small."),
        row(name="eval_interval", section=checkpoints, kind=integer, default=1000, unit="steps", limits=(1, 1_000_000_000),
            advanced=True,
            help="Held-out text is evaluated every so many steps, and at the end: FVU, L0 and cross-entropy recovered. "
                 "Shorter shows trouble sooner and takes time from the training."),
    )  # fmt: skip


HYPERPARAMETERS: Mapping[str, Hyperparameter] = {row.name: row for row in _rows()}

LINKED: tuple[tuple[str, ...], ...] = (
    ("expansion_factor", "latent_dim"),
    ("num_steps", "num_tokens", "num_epochs"),
    ("k", "top_k_sparsity"),
)
"""Different words for one quantity: a spec sets at most one of each group."""


def siblings(name: str) -> tuple[str, ...]:
    """The other words for the same quantity."""
    return tuple(other for group in LINKED if name in group for other in group if other != name)


def for_architecture(architecture: str) -> list[Hyperparameter]:
    """The rows that an architecture uses, in the order of the table."""
    return [row for row in HYPERPARAMETERS.values() if architecture in row.architectures]
