"""`batch_topk`: the k·B largest activations of a batch of B tokens (Bussmann et al. 2024, arXiv 2412.06410), with AuxK."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saetui.sae.base import BatchContext, Path, WholeBatch
from saetui.sae.kernels.dense import pre_activations, row_blocks
from saetui.sae.kernels.selection import Above, LargestOfAll, Selection, floor_of, largest_values
from saetui.sae.kernels.sparse import places_above
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.topk import TopKSAE

# The newest batch's weight in the threshold's moving average (SAELens's choice too), once so many have been seen.
_NEWEST = 0.01


class BatchTopKSAE(TopKSAE):
    """z = the k·B largest positive h of the batch: k a token on average, more where more is needed. Loss as topk.

    A single token has no batch: what it keeps is what exceeds `cutoff`. `encode`, `measure` and exports go by that;
    training never does.

    Attributes:
        threshold: the moving average of the smallest activation that each training batch kept, shape (), float32; 0 until
            the first batch.
        threshold_batches: how many batches it has seen, shape (), int64.
        calibrated: the threshold of a `ThresholdSearch`, for the weights as they are; the next training
            batch forgets it, and no checkpoint has it. None where nobody has searched.
    """

    architecture = "batch_topk"

    threshold: Tensor
    threshold_batches: Tensor
    calibrated: Tensor | None

    def make_parameters(self, generator: torch.Generator) -> None:
        """As topk, and the threshold with its count."""
        super().make_parameters(generator)
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("threshold_batches", torch.zeros((), dtype=torch.int64))
        self.calibrated = None

    @property
    def cutoff(self) -> Tensor:
        """What an activation must exceed to be kept where there is no batch, shape ()."""
        return self.threshold if self.calibrated is None else self.calibrated

    @property
    def finished_state(self) -> dict[str, Tensor]:
        """See the base: one threshold, by which it is used."""
        state = {**super().finished_state, "threshold": self.cutoff}
        del state["threshold_batches"]
        return state

    def selection(self, tokens: int, whole_batch: WholeBatch | None) -> Selection:
        """The k·B largest of the whole batch, of which `batch_floor` is the floor where this is a part."""
        if whole_batch is None or whole_batch.floor is None:
            return LargestOfAll(self.k * tokens)
        return LargestOfAll(self.k * whole_batch.tokens, whole_batch.floor)

    def encode(self, x: Tensor) -> Tensor:
        """z for x (B, d_in) by the cut-off, dense: shape (B, F)."""
        return Above(self.cutoff).dense(self.pre_activations(x))

    def measure(self, x: Tensor, target: Tensor | None = None, *, sparsity_coefficient: float = 0.0) -> Losses:
        """The loss that the SAE has as it is used: by the cut-off, each token for itself."""
        del sparsity_coefficient
        path: Path = "dense" if x.device.type != "cpu" else "auto"
        with torch.no_grad():
            return self.losses_of(Above(self.cutoff), x, self.goal(x, target), BatchContext(path=path))

    @torch.no_grad()
    def batch_floor(self, parts: Sequence[Tensor]) -> Tensor:
        """What the k·B largest activations of the whole batch exceed, shape ()."""
        kept = self.k * sum(x.shape[0] for x in parts)
        largest = self.b_dec.new_zeros(0)
        for x in parts:
            b_in = self.b_dec if self.centres_input else None
            h = pre_activations(x, self.encoder_weight, self.encoder_bias, b_in, self.compute_dtype)
            largest = torch.cat([largest, largest_values(h, kept)])
        return floor_of(largest, kept)

    @torch.no_grad()
    def observe(self, statistics: BatchStatistics) -> None:
        """Takes the smallest activation that the batch kept into the threshold: a plain mean at first."""
        self.calibrated = None
        smallest = statistics.smallest_kept
        assert smallest is not None
        weight = (1.0 / (self.threshold_batches + 1)).clamp_min(_NEWEST)
        renewed = self.threshold.lerp(smallest, weight.to(self.threshold.dtype))
        kept_any = torch.isfinite(smallest)
        self.threshold.copy_(torch.where(kept_any, renewed, self.threshold))
        self.threshold_batches.add_(kept_any)


class ThresholdSearch:
    """Finds the threshold that k activations a token exceed on average, exactly, over tokens that come block by block.

    The running threshold is an average over batches of other weights, and lags behind: with k = 32 and the bundled model it
    gave an L0 of 67 on held-out text after 40 steps. Of all activations only those are kept that can still be among the
    k largest a token: k · `most_tokens` numbers, twice that at most.
    """

    def __init__(self, sae: BatchTopKSAE, most_tokens: int) -> None:
        """For at most so many tokens in all; nothing of the SAE is changed."""
        self._sae = sae
        self._most = sae.k * most_tokens
        self._tokens = 0
        self._largest = sae.W_dec.new_zeros(0)
        self._floor = sae.W_dec.new_zeros(())

    @torch.no_grad()
    def add(self, x: Tensor) -> None:
        """Takes in tokens, normalised, shape (n, d_in)."""
        sae = self._sae
        b_in = sae.b_dec if sae.centres_input else None
        self._tokens += x.shape[0]
        for rows in row_blocks(x, sae.latents):
            h = pre_activations(x[rows], sae.encoder_weight, sae.encoder_bias, b_in, sae.compute_dtype)
            h = h.to(self._largest.dtype)
            self._largest = torch.cat([self._largest, h.reshape(-1)[places_above(h, self._floor)]])
            if len(self._largest) > 2 * self._most:
                self._floor = floor_of(self._largest, self._most)
                self._largest = self._largest[self._largest > self._floor]

    def result(self) -> Tensor | None:
        """The threshold, shape (); 0 where fewer activations are positive, None where there were no tokens."""
        return floor_of(self._largest, self._sae.k * self._tokens) if self._tokens else None
