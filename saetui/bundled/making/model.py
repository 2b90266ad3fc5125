"""The bundled model: a small GPT-2, trained from nothing on the standard library's source, on a CPU."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from saetui.errors import DatasetError

Report = Callable[[str], None]
"""Takes a line on the progress."""


@dataclass(frozen=True)
class Recipe:
    """How the bundled model is made.

    Attributes:
        vocabulary: tokens that the tokenizer learns, at most.
        context: tokens that the model sees at once.
        width: of the residual stream.
        layers: blocks of attention and MLP.
        heads: of attention, in each layer.
        steps: of the optimiser.
        batch: sequences of `context` tokens in a step.
        learning_rate: at its highest, after the warm-up; it falls to zero in a straight line.
        warmup_steps: over which the learning rate rises from zero.
        weight_decay: on matrices; gains, biases have none.
        seed: of the first weights and of the order of the text.
    """

    vocabulary: int = 4096
    context: int = 256
    width: int = 128
    layers: int = 4
    heads: int = 4
    steps: int = 2000
    batch: int = 16
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    seed: int = 0


def train_model(recipe: Recipe, tokens: Tensor, tokenizer: PreTrainedTokenizerFast, report: Report) -> GPT2LMHeadModel:
    """Train a model from its first weights.

    The same recipe, text, machine, number of threads and versions give the same weights. Elsewhere the sums
    are rounded in another order and the weights differ, the held-out loss by about a hundredth.

    Args:
        tokens: int64 of shape (tokens,), documents one after another, each after its separator.
        tokenizer: gives the separator of documents and the size of the vocabulary.
        report: takes a line on the progress now and then.

    Raises:
        DatasetError: the text is too short for a single batch.
    """
    torch.manual_seed(recipe.seed)
    model = GPT2LMHeadModel(_config(recipe, tokenizer))
    model.train()
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        betas=(0.9, 0.95),
    )
    batches = _batches(tokens, recipe)
    started, running = time.monotonic(), 0.0
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        batch = next(batches)
        logits = model(batch[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward without annotations
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running = loss.item() if step == 0 else 0.95 * running + 0.05 * loss.item()
        if step % 50 == 49 or step == recipe.steps - 1:
            seconds = time.monotonic() - started
            rate = (step + 1) * recipe.batch * recipe.context / seconds
            report(
                f"step {step + 1}/{recipe.steps}: {running:.3f} nats a token, "
                f"{rate:.0f} tokens a second, {seconds:.0f} s"
            )
    model.train(False)
    return model


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step: up over the warm-up, then down to zero, both in straight lines."""
    warm = (step + 1) / max(recipe.warmup_steps, 1)
    left = (recipe.steps - step) / max(recipe.steps - recipe.warmup_steps, 1)
    return recipe.learning_rate * min(warm, left, 1.0)


def save_model(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write model and tokenizer as transformers reads them, without a trace of the machine that made them."""
    model.config.name_or_path = ""
    model.save_pretrained(directory)
    tokenizer.name_or_path = ""
    tokenizer.save_pretrained(directory)
    # safetensors makes its file unreadable to others, and a package is read by everyone.
    (directory / "model.safetensors").chmod(0o644)
    settings = directory / "tokenizer_config.json"
    known = json.loads(settings.read_text("utf-8"))
    settings.write_text(json.dumps({**known, "tokenizer_class": "PreTrainedTokenizerFast"}, indent=2) + "\n", "utf-8")


def _config(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> GPT2Config:
    return GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=recipe.context,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        # The same function as GPT-2's gelu_new, in one kernel instead of seven.
        activation_function="gelu_pytorch_tanh",
        # Three passes over the text do not overfit so small a model.
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def _batches(tokens: Tensor, recipe: Recipe) -> Iterator[Tensor]:
    """Endless batches (batch, context + 1), each pass over the text cut at another offset and shuffled again.

    With the cuts elsewhere each time no text is tied to a position, so that the first position of a
    sequence, which is an arbitrary place in a document, is nothing special to the model.
    """
    length = recipe.context + 1
    windows = (len(tokens) - recipe.context) // length
    if windows < recipe.batch:
        raise DatasetError(
            f"{len(tokens)} tokens of training text are fewer than one batch of "
            f"{recipe.batch} x {length} tokens needs.",
            "Train on more files, or with a smaller batch.",
        )
    generator = torch.Generator().manual_seed(recipe.seed)
    while True:
        offset = int(torch.randint(recipe.context, (), generator=generator))
        cut = tokens[offset : offset + windows * length].view(windows, length)
        order = torch.randperm(windows, generator=generator)
        for start in range(0, windows - recipe.batch + 1, recipe.batch):
            yield cut[order[start : start + recipe.batch]]
