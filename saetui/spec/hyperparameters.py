"""The one table of hyperparameters: the form, its help, the ranges, `-o`, templates and validation all read it."""

from __future__ import annotations

from collections.abc import Mapping

from saetui.spec.architectures import ARCHITECTURES, BY_K, BY_L1, RELU, RESAMPLED, TIED, TRANSCODERS
from saetui.spec.hyperparameter import Hyperparameter, Kind, Section, Value, When

__all__ = [
    "ARCHITECTURES", "HYPERPARAMETERS", "LINKED", "Hyperparameter", "Kind", "Section", "Value", "When",
    "complete", "for_architecture", "linked_problem", "siblings", "without_effect",
]  # fmt: skip

BASIC, SPARSITY, OPTIMIZATION, CHECKPOINTS = Section
INTEGER, NUMBER, SWITCH, CHOICE, WIDTHS = Kind

PENALISED = ("jumprelu", *BY_L1)
L1_CHOSEN = When("l1_alpha", architectures=TRANSCODERS)
K_CHOSEN = When("l1_alpha", given=False, architectures=TRANSCODERS)

MOST_STEPS = 1_000_000_000
MOST_LATENTS = 16_777_216
MOST_ACTIVE = 1_048_576
MOST_IN_BATCH = 1_048_576
MOST_TOKENS = 10**13

_ROWS = (
    Hyperparameter("expansion_factor", BASIC, NUMBER, 8.0, unit="× d_in", recommended=(2, 32), limits=(0.01, 1024),
        help="The number of latents for each dimension of the activations. Raise it to find rarer features; memory and time "
             "grow in proportion."),
    Hyperparameter("latent_dim", BASIC, INTEGER, None, none_means="expansion factor × d_in", unit="latents",
        limits=(1, MOST_LATENTS),
        help="The exact number of latents, in place of the expansion factor. Set it when a comparison needs a certain width."),
    Hyperparameter("batch_size", BASIC, INTEGER, 4096, unit="tokens", recommended=(512, 16384), limits=(1, MOST_IN_BATCH),
        help="The number of tokens in one training step. Raise it for steadier gradients, at the price of slower steps; when "
             "you lower it, lower the learning rate too."),
    Hyperparameter("num_steps", BASIC, INTEGER, 100_000, unit="steps", recommended=(1000, 1_000_000), limits=(1, MOST_STEPS),
        help="The length of the training in optimiser steps. Raise it for a lower error and fewer dead latents; time grows in "
             "proportion."),
    Hyperparameter("num_tokens", BASIC, INTEGER, None, none_means="steps × batch size", unit="tokens", limits=(1, MOST_TOKENS),
        help="The length of the training in tokens, in place of steps. Papers use from about 10 million for a small model up to "
             "billions."),
    Hyperparameter("num_epochs", BASIC, NUMBER, None, none_means="as long as the steps last", unit="passes",
        limits=(0.001, 100_000),
        help="The length of the training in passes over the dataset, in place of steps. After about four passes the SAE learns "
             "little more."),
    Hyperparameter("k", SPARSITY, INTEGER, 32, unit="latents", recommended=(8, 256), limits=(1, MOST_ACTIVE), architectures=BY_K,
        help="The number of latents that may be active for a token, and so the L0. Raise it for a lower error; lower it for "
             "latents that are easier to interpret."),
    Hyperparameter("top_k_sparsity", SPARSITY, NUMBER, None, none_means="as k says", unit="% of latents",
        recommended=(0.1, 10), limits=(0.0001, 100), architectures=BY_K,
        help="k as a percentage of the latents, so that it grows with the width. Raise it for a lower error; lower it for "
             "sparser codes."),
    Hyperparameter("l1_alpha", SPARSITY, NUMBER, None,
        none_means="0.07 / √d_in (gated: 0.14 / √d_in); a transcoder: sparse by k", recommended=(1e-4, 1e-1),
        limits=(0, 1000), architectures=BY_L1,
        help="The weight of the L1 penalty against the mean squared error of a coordinate; times d_in it is the coefficient "
             "in papers. Raise it when L0 is too high; lower it when FVU is too high."),
    Hyperparameter("l0_alpha", SPARSITY, NUMBER, 6e-4, recommended=(1e-5, 1e-2), limits=(0, 1000), architectures=("jumprelu",),
        help="The weight of the penalty on the number of active latents, against the mean squared error of a coordinate. "
             "Raise it when L0 is too high; lower it when FVU is too high."),
    Hyperparameter("sparsity_mode", SPARSITY, CHOICE, "step", choices=("step", "quadratic", "tanh"), architectures=("jumprelu",),
        help="What the penalty measures: step the number of active latents, tanh a smooth version of it, quadratic the distance "
             "of L0 from a target. Choose quadratic to reach a certain L0 without a search for the weight."),
    Hyperparameter("l0_target", SPARSITY, NUMBER, 50.0, unit="latents", recommended=(8, 256), limits=(0.1, MOST_ACTIVE),
        architectures=("jumprelu",), when=When("sparsity_mode", ("quadratic",)),
        help="The number of active latents that the quadratic penalty aims at. Raise it for a lower error; lower it for latents "
             "that are easier to interpret."),
    Hyperparameter("bandwidth", SPARSITY, NUMBER, 0.05, recommended=(1e-3, 1.0), limits=(1e-9, 1000),
        architectures=("jumprelu",), advanced=True,
        help="How close to its threshold an activation must be to change that threshold. Raise it when L0 does not respond to "
             "the penalty; a wide band moves thresholds faster but less exactly."),
    Hyperparameter("initial_threshold", SPARSITY, NUMBER, 0.01, recommended=(0, 1), limits=(0, 1000),
        architectures=("jumprelu",), advanced=True,
        help="The threshold of every latent at the start, in units in which a coordinate has mean square 1. Raise it to start "
             "sparser; if it is too high, latents are dead from the start."),
    Hyperparameter("pre_activation_alpha", SPARSITY, NUMBER, 3e-4, recommended=(0, 1e-2), limits=(0, 1000),
        architectures=("jumprelu",), advanced=True,
        help="The weight of a loss that moves dead latents towards their thresholds. Raise it when many latents stay dead; 0 "
             "switches it off."),
    Hyperparameter("matryoshka_widths", SPARSITY, WIDTHS, None, none_means="1/16, 1/8, 1/4, 1/2 and all of the latents",
        unit="latents", architectures=("matryoshka",),
        help="The nested widths: for each number in the list, that many of the first latents must reconstruct the input alone. "
             "Add smaller widths for more general early latents, at the price of a slightly higher error."),
    Hyperparameter("skip_coeff", SPARSITY, NUMBER, 0.1, recommended=(0, 0.3), limits=(0, 0.5), architectures=("skip",),
        help="The share of the input that training copies to the output; metrics judge the SAE without the copy. Lower it when "
             "FVU is too high, because the SAE does not learn what is copied."),
    Hyperparameter("aux_k", SPARSITY, INTEGER, None, none_means="half of d_in", unit="latents", limits=(1, MOST_ACTIVE),
        architectures=BY_K, when=K_CHOSEN, advanced=True,
        help="The number of dead latents that reconstruct the remaining error (AuxK), which revives them. Raise it when many "
             "latents stay dead."),
    Hyperparameter("aux_k_alpha", SPARSITY, NUMBER, 1 / 32, recommended=(0, 1), limits=(0, 1000), architectures=BY_K,
        when=K_CHOSEN, advanced=True,
        help="The weight of the AuxK loss. Raise it when many latents stay dead; 0 switches AuxK off."),
    Hyperparameter("sparsity_warmup_steps", SPARSITY, INTEGER, None, none_means="5 % of the run", unit="steps",
        limits=(0, MOST_STEPS), architectures=PENALISED, when=L1_CHOSEN, advanced=True,
        help="The number of steps in which the penalty rises from 0 to its full weight. Raise it when many latents die early."),
    Hyperparameter("tie_weights", SPARSITY, SWITCH, False, architectures=TIED, advanced=True,
        help="Use the transposed decoder as the encoder: one matrix in place of two. Switch it on to save memory; it usually "
             "costs some quality."),
    Hyperparameter("decoder_norm", SPARSITY, CHOICE, "unit", choices=("unit", "free"), advanced=True,
        help="unit keeps every decoder row at length 1; free lets rows grow and weighs the penalty by their length. Keep unit "
             "unless you follow a recipe that needs free."),
    Hyperparameter("normalize_activations", SPARSITY, CHOICE, "constant_norm",
        choices=("constant_norm", "layer_norm", "none"), advanced=True,
        help="constant_norm divides each site's activations by one measured number, so that a penalty means the same everywhere, "
             "and folds it into the result; layer_norm normalises each token. Choose none for activations that are scaled already."),
    # Between the longest ordinary tokens and the shortest sinks that were measured. Tokens of the bundled model reach 4.0 times the
    # median at every layer and hook point; those of a small Llama 4.2, except for one layer's attn_out, where .4 % are beyond 5
    # and .07 % beyond 6. The sinks of SmolLM2 begin at 8, those that tests plant in the two models (tests/sink_models.py) at
    # 7.7; dictionary_learning's 10 keeps both.
    Hyperparameter("max_activation_norm", SPARSITY, NUMBER, 6.0, none_means="off", unit="× median norm", recommended=(4, 20),
        limits=(1, 1e6), advanced=True,
        help="Longer activations are sinks, found at a few positions and frequent tokens; the scale, the training and the FVU leave "
             "them out. Raise it when too many tokens are left out; off trains on all tokens."),
    Hyperparameter("learning_rate", OPTIMIZATION, NUMBER, None,
        none_means="2e-4 × √(16384 / latents × 250k / steps), at most 4e-3 (jumprelu 2.5e-3)", recommended=(1e-5, 5e-3),
        limits=(1e-9, 10),
        help="The size of one optimiser step. Raise it until the loss becomes unsteady or latents die, then halve it; wider SAEs "
             "and longer runs need less."),
    Hyperparameter("optimizer", OPTIMIZATION, CHOICE, "adam", choices=("adam", "adamw", "sgd"), advanced=True,
        help="The rule that turns gradients into steps. Keep adam, the usual choice for SAEs; adamw decays weights apart from the "
             "gradient, and sgd is for experiments."),
    Hyperparameter("lr_schedule", OPTIMIZATION, CHOICE, "constant", choices=("constant", "linear", "cosine", "one_cycle"),
        advanced=True,
        help="The course of the learning rate after its warm-up: constant until the final decay, or falling all the way. Keep "
             "constant if you may extend the training; cosine often ends with a slightly lower error."),
    Hyperparameter("warmup_steps", OPTIMIZATION, INTEGER, None, none_means="1 % of the run", unit="steps",
        limits=(0, MOST_STEPS), when=When("lr_schedule", ("constant", "linear", "cosine")), advanced=True,
        help="The number of steps in which the learning rate rises from 0. Raise it when the loss jumps at the start."),
    Hyperparameter("decay_fraction", OPTIMIZATION, NUMBER, 0.2, unit="of the run", recommended=(0, 0.5), limits=(0, 1),
        when=When("lr_schedule", ("constant",)), advanced=True,
        help="The last part of the run, in which a constant learning rate falls to 0. Keep some decay: without it the result is "
             "noticeably worse."),
    Hyperparameter("grad_clip_norm", OPTIMIZATION, NUMBER, 1.0, none_means="off", recommended=(0.1, 10), limits=(1e-9, 1e9),
        advanced=True,
        help="Longer gradients are shortened to this length (for the error summed over coordinates, as in papers); at 1 this "
             "affects nearly every step. Raise it to let large errors count more; leave it empty to switch it off."),
    Hyperparameter("weight_decay", OPTIMIZATION, NUMBER, 0.0, recommended=(0, 0.1), limits=(0, 10), advanced=True,
        help="How strongly weights are pulled towards 0. Keep 0, as is usual for SAEs; with unit decoder norm only the encoder is "
             "affected."),
    Hyperparameter("micro_batch_size", OPTIMIZATION, INTEGER, None, none_means="the whole batch", unit="tokens",
        limits=(1, MOST_IN_BATCH), advanced=True,
        help="Each batch is processed in micro-batches of this size, with the same result as the full batch. Lower it when memory "
             "is short; steps become a little slower."),
    Hyperparameter("dead_neuron_threshold", OPTIMIZATION, NUMBER, 0.0, recommended=(0, 1e-6), limits=(0, 1000), advanced=True,
        help="A latent fires when its activation is above this value. Keep 0 unless tiny activations should not count as firing."),
    Hyperparameter("dead_neuron_window", OPTIMIZATION, INTEGER, None, none_means="10 M tokens, or a tenth of a shorter run",
        unit="tokens", limits=(1, MOST_TOKENS), advanced=True,
        help="A latent that has not fired for this many tokens counts as dead, and the architecture tries to revive it. Lower it "
             "to revive latents sooner; too low a value disturbs latents that are only rare."),
    Hyperparameter("resample_steps", OPTIMIZATION, INTEGER, None, none_means="off", unit="steps", limits=(1, MOST_STEPS),
        architectures=RESAMPLED, when=L1_CHOSEN, advanced=True,
        help="Every so many steps, dead latents start again from inputs with a large error (Bricken et al. 2023). When many latents "
             "die, set it to about a tenth of the run."),
    Hyperparameter("ghost_grad_penalty", OPTIMIZATION, SWITCH, False, architectures=RELU, advanced=True,
        help="Dead latents get a gradient through an exponential, which lets them explain the remaining error (Anthropic, January "
             "2024). Try it in place of resampling; it costs a second decoder product while any latent is dead."),
    Hyperparameter("checkpoint_interval", CHECKPOINTS, INTEGER, 10_000, unit="steps", recommended=(1000, 100_000),
        limits=(1, MOST_STEPS),
        help="The number of steps between two checkpoints; one is also saved at the end and at every stop. Lower it to lose less "
             "when the machine goes down; more is written to disk."),
    Hyperparameter("keep_first", CHECKPOINTS, SWITCH, True, advanced=True,
        help="Keep the first checkpoint of the run. Useful to study how features form."),
    Hyperparameter("keep_last", CHECKPOINTS, INTEGER, 2, unit="checkpoints", limits=(1, 100_000), advanced=True,
        help="The number of newest checkpoints to keep. Two protect against damage to one; more need more disk space."),
    Hyperparameter("keep_every", CHECKPOINTS, INTEGER, None, none_means="off", unit="steps", limits=(1, MOST_STEPS), advanced=True,
        help="Also keep each checkpoint whose step is a multiple of this number. Set it to study the course of a training."),
    Hyperparameter("keep_best", CHECKPOINTS, SWITCH, True, advanced=True,
        help="Also keep the checkpoint with the lowest held-out FVU. Leave it on: the last checkpoint is not always the best."),
    Hyperparameter("log_interval", CHECKPOINTS, INTEGER, 10, unit="steps", limits=(1, 1_000_000), advanced=True,
        help="The number of steps between two rows of metrics; each row covers all steps since the last. Lower it for more detail "
             "in the charts, at a small cost."),
    Hyperparameter("eval_interval", CHECKPOINTS, INTEGER, 1000, unit="steps", limits=(1, MOST_STEPS), advanced=True,
        help="The number of steps between two evaluations on held-out text: FVU, L0 and recovered cross-entropy; one also follows "
             "at the end. Lower it to notice problems sooner; evaluations take time from the training."),
)  # fmt: skip

HYPERPARAMETERS: Mapping[str, Hyperparameter] = {row.name: row for row in _ROWS}

LINKED: tuple[tuple[str, ...], ...] = (
    ("expansion_factor", "latent_dim"),
    ("num_steps", "num_tokens", "num_epochs"),
    ("k", "top_k_sparsity", "l1_alpha"),
)
"""A spec sets at most one of each group: they give the same quantity in different units, or exclude each other."""


def siblings(name: str, architecture: str | None = None) -> tuple[str, ...]:
    """The others of its group in `LINKED`; with an architecture, only those that it uses."""
    others = tuple(other for group in LINKED if name in group for other in group if other != name)
    return (
        others
        if architecture is None
        else tuple(other for other in others if architecture in HYPERPARAMETERS[other].architectures)
    )


def for_architecture(architecture: str) -> list[Hyperparameter]:
    """The rows that an architecture uses, in the order of the table."""
    return [row for row in HYPERPARAMETERS.values() if architecture in row.architectures]


def complete(architecture: str, given: Mapping[str, Value]) -> dict[str, Value]:
    """The given values and every default that matters; of a linked group only the one that was set, or the usual one."""
    filled: dict[str, Value] = {}
    for row in for_architecture(architecture):
        others = siblings(row.name, architecture)
        if row.name in given and (given[row.name] is not None or not others):
            filled[row.name] = given[row.name]
            continue
        set_otherwise = any(given.get(other) is not None for other in others)
        default = row.default_for(architecture)
        if not others or (default is not None and not set_otherwise):
            filled[row.name] = default
    idle = set(without_effect(architecture, filled)) - set(given)
    return {name: value for name, value in filled.items() if name not in idle}


def without_effect(architecture: str, values: Mapping[str, Value]) -> dict[str, str]:
    """Of complete values, those without effect beside the others, and when they matter: `only with lr_schedule constant`."""
    return {
        row.name: f"only {row.when.sentence()}"
        for row in map(HYPERPARAMETERS.__getitem__, values)
        if row.when is not None and architecture in row.when.architectures and not row.when.holds(values)
    }


def linked_problem(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """For each group of which more than one is set: the name of the last one, and what is wrong."""
    found = []
    for group in LINKED:
        given = [name for name in group if values.get(name) is not None]
        if len(given) < 2:
            continue
        conflict = "both set how sparse codes are" if "l1_alpha" in given else "say the same thing"
        found.append((given[-1], f"{' and '.join(given)} {conflict}."))
    return found
