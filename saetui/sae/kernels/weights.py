"""What a kernel is given and what it gives back: tensors and a small frozen record of options, never an SAE."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class KernelOptions(NamedTuple):
    """How a kernel computes.

    Attributes:
        centre: whether b_dec is subtracted from x (not in a transcoder).
        firing_threshold: a latent counts as having fired above it.
        dtype: of the products; None for that of the tensors.
    """

    centre: bool
    firing_threshold: float
    dtype: torch.dtype | None


class Weights(NamedTuple):
    """The weights of an SAE: h = (x − b_dec)·W_enc + b_enc, x̂ = z·W_dec + b_dec.

    Attributes:
        W_enc: shape (d_in, F).
        b_enc: shape (F,).
        W_dec: shape (F, d_out).
        b_dec: shape (d_out,).
        norms: n_i of the penalty, shape (F,); None for 1 everywhere.
        options: how to compute with them.
    """

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    norms: Tensor | None
    options: KernelOptions

    @property
    def b_in(self) -> Tensor | None:
        """What is subtracted from x, shape (d_in,)."""
        return self.b_dec if self.options.centre else None

    def centred(self, x: Tensor) -> Tensor:
        """x − b_in, shape (B, d_in)."""
        return x - self.b_dec if self.options.centre else x


class Outcome(NamedTuple):
    """Errors, penalty and counts of one batch.

    Attributes:
        recon: mean over tokens and coordinates of (x̂ − y)², shape ().
        penalty: on the activations, without its coefficient, shape ().
        residual: y − x̂, detached, shape (B, d_out).
        l1: Σ z·n over tokens and latents, detached, shape ().
        fired: tokens on which each latent fired, int64, shape (F,).
        active: entries of z that are not 0, shape ().
    """

    recon: Tensor
    penalty: Tensor
    residual: Tensor
    l1: Tensor
    fired: Tensor
    active: Tensor
