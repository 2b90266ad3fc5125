"""A table of the bundled model's figures, and the model card that is kept beside it."""

from __future__ import annotations

import platform

import torch

from saetui.bundled.making.evaluation import Figures
from saetui.bundled.making.model import Recipe


def figures_table(figures: Figures) -> str:
    """The figures of a model as Markdown, readable in a terminal as it is."""
    losses = (
        ("unigram, add-one", figures.unigram),
        ("trigram, interpolated Kneser-Ney", figures.trigram),
        ("this model", figures.model),
    )
    lines = [
        f"{figures.parameters:,} parameters; {figures.training_tokens:,} training tokens; held out: "
        f"{figures.held_out_tokens:,} tokens, {figures.held_out_bytes:,} bytes.",
        "",
        "| held-out loss | bits a byte | nats a token |",
        "|---|---|---|",
        *(f"| {name} | {bits:.3f} | {_nats_a_token(figures, bits):.3f} |" for name, bits in losses),
        "",
        "| residual stream, mean norm | position 0 | position 1 | position 8 on |",
        "|---|---|---|---|",
        *(
            f"| layer_{layer}.resid_post | {first:.1f} | {second:.1f} | {rest:.1f} |"
            for layer, (first, second, rest) in enumerate(figures.norms)
        ),
        "",
        f"Forward: {figures.tokens_per_second:,.0f} tokens a second on a CPU, torch with {figures.threads} thread(s).",
    ]
    return "\n".join(lines)


def model_card(recipe: Recipe, figures: Figures, seconds: float) -> str:
    """The model's card.

    Args:
        recipe: of its training.
        figures: of its evaluation.
        seconds: of training.
    """
    seen = recipe.steps * recipe.batch * recipe.context
    return f"""# saetui's bundled language model

A GPT-2 of {recipe.layers} layers, width {recipe.width}, {recipe.heads} heads, context {recipe.context} and a
byte-level BPE of {recipe.vocabulary:,} tokens, trained from nothing by saetui on the source of Python's standard
library. It is there so that a sparse autoencoder can be trained at once, offline, on any machine; it predicts
Python source and is of no other use.

Made by `python -m saetui.bundled.making --out DIR`; measured again by
`python -m saetui.bundled.making --evaluate`.

## Training

Text: the standard library of Python {platform.python_version()} without tests and generated tables. One file in
sixteen, chosen by a hash of its name, was kept from the tokenizer, the model and the n-gram models, and is what the
losses below are taken over. `<|endoftext|>` stands before every document; sequences start at arbitrary places.

{recipe.steps:,} steps of {recipe.batch} x {recipe.context} tokens ({seen / 1e6:.1f} million,
{seen / max(figures.training_tokens, 1):.1f} passes over the text); AdamW, learning rate {recipe.learning_rate:g} with
{recipe.warmup_steps} steps of warm-up and a linear fall to zero, weight decay {recipe.weight_decay:g}, gradient norm
at most 1; float32; seed {recipe.seed}; {seconds:,.0f} s on {figures.threads} CPU threads; torch {torch.__version__}.

## Figures

{figures_table(figures)}

The n-gram models are fitted on the same training tokens, and the trigram's discounts on a slice of them. Windows
overlap by half, so that the model has at least {recipe.context // 2} tokens before each that it predicts, but at the very start.

## Licence

The text is under the Python Software Foundation's licence; the weights are saetui's, under saetui's licence.
"""


def _nats_a_token(figures: Figures, bits_a_byte: float) -> float:
    return bits_a_byte * 0.6931471805599453 * figures.held_out_bytes / max(figures.held_out_tokens, 1)
