"""The models that the bundled model must beat: a unigram and a trigram model of the same tokens.

The trigram is interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 2.8), the best of the
classical models. The discount of each order is chosen on a part of the training tokens that is left out of the
counts meanwhile; then all tokens are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_DISCOUNTS = tuple(step / 20 for step in range(1, 20))
_SLICE_SHARE = 20
"""One training document in so many is left out of the counts while the discounts are chosen."""


class UnigramModel:
    """Each token by its frequency, with one added to every count so that no token is impossible."""

    def __init__(self, documents: Sequence[Tensor], vocabulary: int) -> None:
        """Count the tokens. `documents`: int64 tensors of shape (tokens + 1,), the separator first."""
        counts = torch.bincount(_trigrams(documents)[2], minlength=vocabulary).double() + 1.0
        self._probabilities = counts / counts.sum()

    def probabilities(self, tokens: Tensor) -> Tensor:
        """The probability of each token, float64 of the shape of `tokens`."""
        return self._probabilities[tokens]

    def nats(self, documents: Sequence[Tensor]) -> float:
        """The surprise of all tokens of the documents but their separators, summed, in nats."""
        return -float(self.probabilities(_trigrams(documents)[2]).log().sum())


@dataclass(frozen=True)
class _Order:
    """The counts of one order of n-grams, packed for look-up by binary search.

    Attributes:
        keys: int64 (n-grams,), ascending; the last token is `key % vocabulary`, the rest its context.
        counts: float64 (n-grams,), each at least 1.
        contexts: int64 (contexts,), ascending.
        totals: float64 (contexts,), the counts of all n-grams of a context.
        distinct: float64 (contexts,), how many different tokens follow it.
    """

    keys: Tensor
    counts: Tensor
    contexts: Tensor
    totals: Tensor
    distinct: Tensor

    def evidence(self, context: Tensor, key: Tensor) -> _Evidence:
        """The counts of each n-gram and of its context."""
        return _Evidence(
            count=_look_up(self.keys, self.counts, key),
            total=_look_up(self.contexts, self.totals, context),
            distinct=_look_up(self.contexts, self.distinct, context),
        )


@dataclass(frozen=True)
class _Evidence:
    """The counts of some n-grams, and the total and distinct successors of their contexts."""

    count: Tensor
    total: Tensor
    distinct: Tensor

    def interpolate(self, discount: float, lower: Tensor) -> Tensor:
        """The probability of each n-gram's last token, given its probability in the order below."""
        total = self.total.clamp_min(1.0)
        mixed = ((self.count - discount).clamp_min(0.0) + discount * self.distinct * lower) / total
        return torch.where(self.total > 0, mixed, lower)


class TrigramModel:
    """Each token from the two before it, by interpolated Kneser-Ney smoothing."""

    def __init__(self, documents: Sequence[Tensor], vocabulary: int) -> None:
        """Choose the discounts on a slice of the documents (as for `UnigramModel`, at least two), then count all of them."""
        self._vocabulary = vocabulary
        every = min(_SLICE_SHARE, len(documents))
        counted = [document for index, document in enumerate(documents) if index % every]
        left_out = [document for index, document in enumerate(documents) if index % every == 0]
        self._discounts = (0.75, 0.75, 0.75)
        self._count(counted)
        self._discounts = self._choose_discounts(left_out)
        self._count(documents)

    @property
    def discounts(self) -> tuple[float, float, float]:
        """The discounts of a trigram's, a bigram's and a unigram's count."""
        return self._discounts

    def probabilities(self, before_last: Tensor, last: Tensor, token: Tensor) -> Tensor:
        """The probability of a token after two others, float64; the three shapes broadcast."""
        return self._mix(self._evidence(before_last, last, token), self._discounts)

    def nats(self, documents: Sequence[Tensor]) -> float:
        """The surprise of all tokens of the documents but their separators, summed, in nats."""
        return -float(self.probabilities(*_trigrams(documents)).log().sum())

    def _count(self, documents: Sequence[Tensor]) -> None:
        size = self._vocabulary
        before_last, last, token = _trigrams(documents)
        keys, counts = torch.unique((before_last * size + last) * size + token, return_counts=True)
        self._trigrams = _order(keys, counts, size)
        # Below the highest order a token counts once for each different context it was seen in.
        keys, counts = torch.unique(keys % (size * size), return_counts=True)
        self._bigrams = _order(keys, counts, size)
        keys, counts = torch.unique(keys % size, return_counts=True)
        self._unigrams = _order(keys, counts, size)

    def _evidence(self, before_last: Tensor, last: Tensor, token: Tensor) -> tuple[_Evidence, ...]:
        size = self._vocabulary
        pair = before_last * size + last
        return (
            self._trigrams.evidence(pair, pair * size + token),
            self._bigrams.evidence(last, last * size + token),
            self._unigrams.evidence(torch.zeros_like(token), token),
        )

    def _mix(self, evidence: tuple[_Evidence, ...], discounts: Sequence[float]) -> Tensor:
        probability = torch.full_like(evidence[-1].count, 1.0 / self._vocabulary)
        for seen, discount in zip(reversed(evidence), reversed(discounts), strict=True):
            probability = seen.interpolate(discount, probability)
        return probability

    def _choose_discounts(self, left_out: Sequence[Tensor]) -> tuple[float, float, float]:
        evidence = self._evidence(*_trigrams(left_out))
        best = list(self._discounts)
        # One order after another, twice: the second round moves no discount by more than a step.
        for order in (0, 1, 2, 0, 1, 2):
            trials = [[*best[:order], discount, *best[order + 1 :]] for discount in _DISCOUNTS]
            best = max(trials, key=lambda discounts: float(self._mix(evidence, discounts).log().sum()))
        return best[0], best[1], best[2]


def _trigrams(documents: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Every token of the documents with the two before it; a document's start is preceded by two separators."""
    rows = torch.cat([part for document in documents for part in (document[:1], document)])
    separator = documents[0][0]
    scored = rows[2:] != separator
    return rows[:-2][scored], rows[1:-1][scored], rows[2:][scored]


def _order(keys: Tensor, counts: Tensor, size: int) -> _Order:
    contexts, inverse, distinct = torch.unique(keys // size, return_inverse=True, return_counts=True)
    values = counts.double()
    totals = torch.zeros(len(contexts), dtype=torch.float64).scatter_add_(0, inverse, values)
    return _Order(keys, values, contexts, totals, distinct.double())


def _look_up(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    place = torch.searchsorted(keys, wanted.contiguous()).clamp_max(len(keys) - 1)
    return torch.where(keys[place] == wanted, values[place], 0.0)
