"""The threshold by which a batch top-k is used: the one that gives the L0 that was asked for, with the weights as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.sae.batch_topk import BatchTopKSAE
from saetui.sae.kernels.dense import pre_activations, row_blocks
from saetui.sae.kernels.selection import floor_of
from saetui.sae.kernels.sparse import places_above


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
