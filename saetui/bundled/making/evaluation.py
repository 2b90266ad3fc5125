"""Measures the bundled model (its held-out loss beside those of n-gram models, its residual stream, its speed), and writes its card."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from saetui.bundled.making.model import Recipe
from saetui.bundled.making.ngrams import TrigramModel, UnigramModel
from saetui.bundled.making.text import SplitText, count_bytes, encode_documents

_TOKENS_AT_ONCE = 2048


@dataclass(frozen=True)
class Figures:
    """The figures of a model.

    Attributes:
        parameters: of the model, tied ones once.
        training_tokens: in the training documents, read once.
        held_out_tokens: over which the losses are taken.
        held_out_bytes: of the same text in UTF-8.
        unigram: held-out loss of the unigram model in bits a byte.
        trigram: that of the trigram model.
        model: that of the model.
        norms: for each layer, the mean norm of the residual stream after it at the first position of a sequence,
            at the second, and over all from the ninth on.
        tokens_per_second: through the whole model forward, in batches of 2048 tokens.
        threads: of torch, for that.
    """

    parameters: int
    training_tokens: int
    held_out_tokens: int
    held_out_bytes: int
    unigram: float
    trigram: float
    model: float
    norms: tuple[tuple[float, float, float], ...]
    tokens_per_second: float
    threads: int


def evaluate_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, text: SplitText) -> Figures:
    """Measure a model on the held-out documents, and n-gram models of the training documents too."""
    training = encode_documents(text.training, tokenizer)
    held_out = encode_documents(text.held_out, tokenizer)
    stream = torch.cat(held_out)
    size = count_bytes(text.held_out)
    vocabulary = len(tokenizer)

    def bits_a_byte(nats: float) -> float:
        return nats / math.log(2) / size

    return Figures(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        training_tokens=sum(len(document) - 1 for document in training),
        held_out_tokens=len(stream) - len(held_out),
        held_out_bytes=size,
        unigram=bits_a_byte(UnigramModel(training, vocabulary).nats(held_out)),
        trigram=bits_a_byte(TrigramModel(training, vocabulary).nats(held_out)),
        model=bits_a_byte(model_nats(model, held_out)),
        norms=residual_norms(model, stream),
        tokens_per_second=_forward_speed(model, stream),
        threads=torch.get_num_threads(),
    )


@torch.no_grad()
def model_nats(model: PreTrainedModel, documents: Sequence[Tensor]) -> float:
    """The surprise of all tokens of the documents but their separators, summed, in nats.

    Windows of the model's whole context overlap by a half, and each token is scored once, in the window where
    more tokens precede it: at least half a context, except near the start of the text.

    `documents`: int64 tensors of shape (tokens + 1,), the separator first.
    """
    stream, separator = torch.cat(list(documents)), documents[0][0]
    context = model.config.n_positions
    half = context // 2
    starts = range(0, max(len(stream) - half - 1, 1), half)
    windows: list[Tensor] = []
    targets: list[Tensor] = []
    for start in starts:
        window = stream[start : start + context + 1]
        wanted = window[1:].masked_fill(window[1:] == separator, -100)
        if start > 0:
            wanted[:half] = -100
        missing = context - len(wanted)
        windows.append(torch.cat([window[:-1], separator.repeat(missing)]))
        targets.append(torch.cat([wanted, torch.full((missing,), -100)]))
    total, at_once = 0.0, max(_TOKENS_AT_ONCE // context, 1)
    for first in range(0, len(windows), at_once):
        batch = torch.stack(windows[first : first + at_once])
        wanted = torch.stack(targets[first : first + at_once])
        logits = model(batch, use_cache=False).logits
        total += float(cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum"))
    return total


@torch.no_grad()
def residual_norms(model: PreTrainedModel, stream: Tensor) -> tuple[tuple[float, float, float], ...]:
    """The mean norm of the residual stream after each layer: at position 0, at position 1, from position 8 on.

    A norm at position 0 many times the rest would mean that the model parks its attention there, and that one
    scalar cannot normalise the activations. The last layer is left out: transformers gives its output after the
    final LayerNorm.
    """
    context = model.config.n_positions
    count = min(64, len(stream) // context)
    batch = stream[: count * context].view(count, context)
    states = model(batch, use_cache=False, output_hidden_states=True).hidden_states[1:-1]
    norms = [state.norm(dim=-1).mean(dim=0) for state in states]
    return tuple((float(norm[0]), float(norm[1]), float(norm[8:].mean())) for norm in norms)


def figures_table(figures: Figures) -> str:
    """The figures of a model as Markdown, readable in a terminal as it is."""
    losses = (
        ("unigram, add-one", figures.unigram),
        ("trigram, interpolated Kneser-Ney", figures.trigram),
        ("this model", figures.model),
    )
    nats = math.log(2) * figures.held_out_bytes / max(figures.held_out_tokens, 1)
    lines = [
        f"{figures.parameters:,} parameters; {figures.training_tokens:,} training tokens; held out: "
        f"{figures.held_out_tokens:,} tokens, {figures.held_out_bytes:,} bytes.",
        "",
        "| held-out loss | bits a byte | nats a token |",
        "|---|---|---|",
        *(f"| {name} | {bits:.3f} | {nats * bits:.3f} |" for name, bits in losses),
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
    """The model's card; `seconds` of training."""
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


@torch.no_grad()
def _forward_speed(model: PreTrainedModel, stream: Tensor) -> float:
    context = model.config.n_positions
    count = min(max(_TOKENS_AT_ONCE // context, 1), len(stream) // context)
    batch = stream[: count * context].view(count, context)
    model(batch, use_cache=False)
    rounds = 10
    started = time.monotonic()
    for _ in range(rounds):
        model(batch, use_cache=False)
    return rounds * batch.numel() / (time.monotonic() - started)
