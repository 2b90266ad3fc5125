"""The one table of hyperparameters: it drives the form, its help, the ranges, `-o`, templates and validation."""

from __future__ import annotations

from collections.abc import Mapping

from saetui.spec.architectures import ARCHITECTURES, BY_K, BY_L1, RELU, RESAMPLED, TIED, TRANSCODERS
from saetui.spec.hyperparameter import Hyperparameter, Kind, Section, Value, When

__all__ = [
    "ARCHITECTURES", "HYPERPARAMETERS", "LINKED", "Hyperparameter", "Kind", "Section", "Value", "When",
    "complete", "for_architecture", "linked_problem", "siblings", "without_effect",
]  # fmt: skip

L1_CHOSEN = When("l1_alpha", architectures=TRANSCODERS)
K_CHOSEN = When("l1_alpha", given=False, architectures=TRANSCODERS)
PENALISED = ("jumprelu", *BY_L1)


def _rows() -> tuple[Hyperparameter, ...]:
    row = Hyperparameter
    basic, sparsity, optimization, checkpoints = Section
    integer, number, switch, choice, widths = Kind
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
        row(name="k", section=sparsity, kind=integer, default=32, unit="latents", recommended=(8, 256),
            limits=(1, 1_048_576), architectures=BY_K,
            help="How many latents may be active for a token: L0 is set, not sought. "
                 "Raise it for a smaller error, lower it for latents that are easier to read."),
        row(name="top_k_sparsity", section=sparsity, kind=number, default=None, none_means="as k says", unit="% of latents",
            recommended=(0.1, 10), limits=(0.0001, 100), architectures=BY_K,
            help="k as a share of the latents, in percent, so that it scales with the width. "
                 "Raise it for a smaller error, lower it for sparser codes."),
        row(name="l1_alpha", section=sparsity, kind=number, default=None,
            none_means="0.07 / √d_in (gated: 0.14 / √d_in); a transcoder: sparse by k", recommended=(1e-4, 1e-1),
            limits=(0, 1000), architectures=BY_L1,
            help="The weight of the L1 penalty against the mean squared error of a coordinate; times d_in it is the "
                 "coefficient that papers quote. Raise it when L0 is too high, lower it when FVU is."),
        row(name="l0_alpha", section=sparsity, kind=number, default=6e-4, recommended=(1e-5, 1e-2), limits=(0, 1000),
            architectures=("jumprelu",),
            help="The weight of the penalty on the number of active latents against the mean squared error of a coordinate. "
                 "Raise it when L0 is too high, lower it when FVU is."),
        row(name="sparsity_mode", section=sparsity, kind=choice, default="step", choices=("step", "quadratic", "tanh"),
            architectures=("jumprelu",),
            help="What the penalty counts: step every active latent, quadratic the distance of L0 from a target, tanh the "
                 "active latents in a smooth way. Choose quadratic to get a certain L0 without a search for the weight."),
        row(name="l0_target", section=sparsity, kind=number, default=50.0, unit="latents", recommended=(8, 256),
            limits=(0.1, 1_048_576), architectures=("jumprelu",), when=When("sparsity_mode", ("quadratic",)),
            help="The number of active latents that the quadratic penalty steers to. "
                 "Raise it for a smaller error, lower it for latents that are easier to read."),
        row(name="bandwidth", section=sparsity, kind=number, default=0.05, recommended=(1e-3, 1.0), limits=(1e-9, 1000),
            architectures=("jumprelu",), advanced=True,
            help="How near to its threshold an activation must be for the threshold to learn from it. "
                 "Wider moves thresholds faster and less exactly; raise it when L0 does not follow the penalty."),
        row(name="initial_threshold", section=sparsity, kind=number, default=0.01, recommended=(0, 1), limits=(0, 1000),
            architectures=("jumprelu",), advanced=True,
            help="Where every threshold begins, in units in which a coordinate has mean square 1. "
                 "Higher starts sparser; too high, and latents are dead from the start."),
        row(name="pre_activation_alpha", section=sparsity, kind=number, default=3e-4, recommended=(0, 1e-2), limits=(0, 1000),
            architectures=("jumprelu",), advanced=True,
            help="The weight of a loss that lifts dead latents towards their thresholds; 0 switches it off. "
                 "Raise it when latents stay dead."),
        row(name="matryoshka_widths", section=sparsity, kind=widths, default=None,
            none_means="1/16, 1/8, 1/4, 1/2 and all of the latents", unit="latents", architectures=("matryoshka",),
            help="The nested widths: the first so many latents must reconstruct alone, for each number in the list. "
                 "More and smaller ones make early latents more general and the whole a little worse."),
        row(name="skip_coeff", section=sparsity, kind=number, default=0.1, recommended=(0, 0.3), limits=(0, 0.5),
            architectures=("skip",),
            help="The share of the input that is copied to the output in training; metrics judge the SAE without it. "
                 "Lower it when FVU is poor: what is copied need not be learned."),
        row(name="aux_k", section=sparsity, kind=integer, default=None, none_means="half of d_in", unit="latents",
            limits=(1, 1_048_576), architectures=BY_K, when=K_CHOSEN, advanced=True,
            help="How many dead latents try to explain what is left over (AuxK), so that they come back. "
                 "Raise it when many stay dead."),
        row(name="aux_k_alpha", section=sparsity, kind=number, default=1 / 32, recommended=(0, 1), limits=(0, 1000),
            architectures=BY_K, when=K_CHOSEN, advanced=True,
            help="The weight of the AuxK loss. "
                 "Raise it when latents stay dead, set it to 0 to switch AuxK off."),
        row(name="sparsity_warmup_steps", section=sparsity, kind=integer, default=None, none_means="5 % of the run",
            unit="steps", limits=(0, 1_000_000_000), architectures=PENALISED, when=L1_CHOSEN, advanced=True,
            help="Over how many steps the penalty rises from 0 to its full weight. "
                 "Longer keeps more latents alive at the start."),
        row(name="tie_weights", section=sparsity, kind=switch, default=False, architectures=TIED, advanced=True,
            help="Let the encoder be the transposed decoder, one matrix instead of two. "
                 "Saves memory; usually costs some quality."),
        row(name="decoder_norm", section=sparsity, kind=choice, default="unit", choices=("unit", "free"), advanced=True,
            help="unit holds every decoder row at length 1; free lets it grow and weighs the penalty by it. "
                 "Keep unit unless you follow a recipe that needs free."),
        row(name="normalize_activations", section=sparsity, kind=choice, default="constant_norm",
            choices=("constant_norm", "layer_norm", "none"), advanced=True,
            help="constant_norm scales each site by one measured number, so that penalties mean the same everywhere, and "
                 "is folded away in the result. none is for activations that are scaled already."),
        # Between the longest ordinary tokens and the shortest sinks that were seen. Tokens of the bundled model reach 4.0 times the
        # median at every layer and hook point; those of a small Llama 4.2, but for one layer's attn_out, where .4 % are beyond 5
        # and .07 % beyond 6. The sinks of SmolLM2 begin at 8, those that tests plant in the two models (tests/sink_models.py) at
        # 7.7; dictionary_learning's 10 leaves both in.
        row(name="max_activation_norm", section=sparsity, kind=number, default=6.0, none_means="off", unit="× median norm",
            recommended=(4, 20), limits=(1, 1e6), advanced=True,
            help="Longer activations are sinks, which a few positions and frequent tokens have: they are left out of the "
                 "scale, the training and the judged FVU. Raise it when many tokens are left out; off trains on all."),
        row(name="learning_rate", section=optimization, kind=number, default=None,
            none_means="2e-4 × √(16384 / latents × 250k / steps), at most 4e-3 (jumprelu 2.5e-3)",
            recommended=(1e-5, 5e-3), limits=(1e-9, 10),
            help="How far one step goes. Raise it until the loss turns unsteady or latents die, then take half; wider SAEs and "
                 "longer runs want less."),
        row(name="optimizer", section=optimization, kind=choice, default="adam", choices=("adam", "adamw", "sgd"),
            advanced=True,
            help="The rule that turns gradients into steps; adamw decays weights apart from the gradient. "
                 "adam is what almost everyone uses for SAEs; sgd is for experiments."),
        row(name="lr_schedule", section=optimization, kind=choice, default="constant",
            choices=("constant", "linear", "cosine", "one_cycle"), advanced=True,
            help="How the learning rate goes after its warm-up: constant until the final decay, or falling all the way. "
                 "constant is best when you may want to train on; cosine often ends a little lower."),
        row(name="warmup_steps", section=optimization, kind=integer, default=None, none_means="1 % of the run",
            unit="steps", limits=(0, 1_000_000_000), when=When("lr_schedule", ("constant", "linear", "cosine")),
            advanced=True,
            help="Over how many steps the learning rate rises from 0. "
                 "Longer helps when the loss jumps at the start."),
        row(name="decay_fraction", section=optimization, kind=number, default=0.2, unit="of the run", recommended=(0, 0.5),
            limits=(0, 1), when=When("lr_schedule", ("constant",)), advanced=True,
            help="The last part of the run over which a constant learning rate falls to 0. "
                 "Without any decay the result is noticeably worse."),
        row(name="grad_clip_norm", section=optimization, kind=number, default=1.0, none_means="off",
            recommended=(0.1, 10), limits=(1e-9, 1e9), advanced=True,
            help="Longer gradients are shortened to this (of the error summed over coordinates, as in the papers); at 1 "
                 "that is nearly each. Higher lets large errors count more; empty switches it off."),
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
            limits=(1, 1_000_000_000), architectures=RESAMPLED, when=L1_CHOSEN, advanced=True,
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
    ("k", "top_k_sparsity", "l1_alpha"),
)
"""Different words for one quantity, or ways to one end: a spec sets at most one of each group."""


def siblings(name: str, architecture: str | None = None) -> tuple[str, ...]:
    """The other words for the same quantity; with an architecture, those among them that it uses."""
    others = tuple(other for group in LINKED if name in group for other in group if other != name)
    return others if architecture is None else tuple(other for other in others if _uses(architecture, other))


def for_architecture(architecture: str) -> list[Hyperparameter]:
    """The rows that an architecture uses, in the order of the table."""
    return [row for row in HYPERPARAMETERS.values() if architecture in row.architectures]


def complete(architecture: str, given: Mapping[str, Value]) -> dict[str, Value]:
    """What is given and every default that matters; of linked ones only the one that was set, or the usual one."""
    filled: dict[str, Value] = {}
    for row in for_architecture(architecture):
        others = siblings(row.name, architecture)
        if row.name in given and (given[row.name] is not None or not others):
            filled[row.name] = given[row.name]
            continue
        said_otherwise = any(given.get(other) is not None for other in others)
        default = row.default_for(architecture)
        if not others or (default is not None and not said_otherwise):
            filled[row.name] = default
    idle = set(without_effect(architecture, filled)) - set(given)
    return {name: value for name, value in filled.items() if name not in idle}


def without_effect(architecture: str, values: Mapping[str, Value]) -> dict[str, str]:
    """Which of complete values do not matter beside the others, and when they would: `only with lr_schedule constant`."""
    rows = (HYPERPARAMETERS[name] for name in values)
    return {
        row.name: f"only {row.when.sentence()}"
        for row in rows
        if row.when is not None and architecture in row.when.architectures and not row.when.holds(values)
    }


def linked_problem(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """For each group of which more than one is set, the last one's name and what is wrong."""
    found = []
    for group in LINKED:
        given = [name for name in group if values.get(name) is not None]
        if len(given) < 2:
            continue
        conflict = "both set how sparse codes are" if "l1_alpha" in given else "say the same thing"
        found.append((given[-1], f"{' and '.join(given)} {conflict}."))
    return found


def _uses(architecture: str, name: str) -> bool:
    return architecture in HYPERPARAMETERS[name].architectures
