"""How well a model predicts with something else in place of an activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from saetui.activations.hooks import activation_of, hook_inputs, hook_outputs
from saetui.activations.models import LanguageModel
from saetui.activations.sites import Location, Site
from saetui.activations.vocabulary import carries_text
from saetui.errors import ModelError
from saetui.formats.step_sizes import LOGITS_AT_ONCE


@dataclass(frozen=True)
class Splice:
    """A replacement for an activation, at all tokens but special ones and the first of each context.

    Attributes:
        target: the site whose activation is replaced.
        function: maps rows (n, d) of the source to rows (n, d) of the target. None puts zeros.
        source: the site that the function reads: the target itself (None), or for a transcoder the `mlp_in` of the same layer.
            The model must pass it before the target.
        spared: maps the rows of source and target (n, d) to a mask (n,) of the rows that are not replaced: an SAE's sinks,
            which are left as special tokens are. Their predictions count in the cross-entropy nevertheless.
    """

    target: Site
    function: Callable[[Tensor], Tensor] | None
    source: Site | None = None
    spared: Callable[[Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True)
class TokenLoss:
    """A sum of next-token losses in nats over a number of tokens. The losses of several batches can be added."""

    total: float = 0.0
    tokens: int = 0

    @property
    def mean(self) -> float:
        """Nats a token.

        Raises:
            ZeroDivisionError: there were no tokens.
        """
        return self.total / self.tokens

    def __add__(self, other: TokenLoss) -> TokenLoss:
        return TokenLoss(self.total + other.total, self.tokens + other.tokens)


@torch.no_grad()
def cross_entropy(
    model: LanguageModel, tokens: Tensor, splices: Sequence[Splice] = (), micro_batch: int | None = None
) -> TokenLoss:
    """Run the whole model and measure how well it predicts the next token.

    The positions that count are those at which a splice acts (the token is not special and not the first of its context)
    and that have a next token.

    Args:
        model: a model that predicts next tokens.
        tokens: (batch, context) int64, packed without padding.
        splices: the replacements; none for the model as it is.
        micro_batch: contexts in a forward pass. None for as many as the logits allow.

    Raises:
        ModelError: the model does not predict next tokens, or a source is not passed before its target.
    """
    if not model.can_predict:
        raise ModelError(
            f"{model.reference} does not predict next tokens, so it has no cross-entropy.",
            "Judge its SAEs by fvu and l0.",
        )
    if micro_batch is None:
        micro_batch = max(1, LOGITS_AT_ONCE // (model.vocab_size * tokens.shape[1]))
    loss = TokenLoss()
    for chunk in torch.split(tokens, micro_batch):
        batch = chunk.to(model.device)
        loss += _loss_of_one_pass(model, batch, carries_text(batch, model.special_ids), splices)
    return loss


def _loss_of_one_pass(model: LanguageModel, tokens: Tensor, keep: Tensor, splices: Sequence[Splice]) -> TokenLoss:
    with model.lock, ExitStack() as stack:
        for splice in splices:
            _install(stack, model, splice, keep)
        logits = model.network(input_ids=tokens).logits
    if logits.shape[:2] != tokens.shape:
        raise ModelError(
            f"{model.reference} gives logits of shape {tuple(logits.shape)} for tokens of shape {tuple(tokens.shape)}.",
            "Its cross-entropy is not understood; judge its SAEs by fvu and l0.",
        )
    counted = keep[:, :-1]
    total = torch.zeros((), dtype=torch.float64, device=logits.device)
    # Context by context: the logarithms of all contexts would take as much memory as the logits.
    for predictions, targets, counts in zip(logits[:, :-1], tokens[:, 1:], counted, strict=True):
        losses = functional.cross_entropy(predictions.float(), targets, reduction="none")
        total += torch.where(counts, losses, 0.0).double().sum()
    return TokenLoss(float(total), int(counted.sum()))


def _install(stack: ExitStack, model: LanguageModel, splice: Splice, keep: Tensor) -> None:
    """Hook a splice into the model until the stack unwinds."""
    flat = keep.reshape(-1)
    source_rows: list[Tensor] = []
    target = model.locate(splice.target)
    source = target if splice.source is None else model.locate(splice.source)

    def read_source(value: object) -> None:
        activation = activation_of(value, source.site.name)
        source_rows[:] = [activation.reshape(-1, activation.shape[-1])[flat] * source.factor]

    def replace(value: object) -> Tensor:
        activation = activation_of(value, target.site.name)
        replaced = activation.reshape(-1, activation.shape[-1]).clone()
        there = replaced[flat]
        own = there * target.factor
        rows = own if splice.source is None else _passed(source_rows, splice)
        if splice.function is None:
            instead = torch.zeros_like(there)
        else:
            predicted = splice.function(rows).to(there.dtype)
            # Rows that the function leaves as they are stay equal to the last bit, which a division would not guarantee.
            instead = torch.where(predicted == own, there, predicted / target.factor)
        if splice.spared is not None:
            instead = torch.where(splice.spared(rows, own)[:, None], there, instead)
        replaced[flat] = instead
        return replaced.reshape(activation.shape)

    if splice.source is not None:
        _hook(stack, model, source, read_source)
    _hook(stack, model, target, replace)


def _passed(rows: list[Tensor], splice: Splice) -> Tensor:
    if not rows:
        source = splice.source.name if splice.source is not None else ""
        raise ModelError(
            f"The model passes {splice.target.name} before {source}.", "Choose a source that lies before its target."
        )
    return rows[0]


def _hook(stack: ExitStack, model: LanguageModel, location: Location, visit: Callable[[object], Tensor | None]) -> None:
    module = model.module_at(location)
    stack.enter_context((hook_inputs if location.side == "input" else hook_outputs)(module, visit))
