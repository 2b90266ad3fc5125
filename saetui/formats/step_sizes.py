"""The sizes of the parts in which a step and an evaluation are computed: for the kernels, and for the estimate of memory."""

from __future__ import annotations

SPARSE_ADVANTAGE = 8
"""A sparse product reaches about an eighth of a dense one's speed for each entry that it does compute (2 and 16 cores). So a
top-k that keeps less than 1/8 of the latents takes the sparse path."""

BLOCK_ROWS = 512
"""Rows of a block that a product is made with on the CPU."""

BLOCK_ENTRIES = 1 << 24
"""Entries of such a block on a GPU, where each launch costs. Entries that are gathered one by one take as much memory."""

CANDIDATE_ROWS = 8192
"""Inputs that the dead latents of one resampling are drawn from. Bricken et al. take the losses of 819,200 inputs, for 4 to 131
thousand latents of which a few hundred are dead. These take half of the memory of a decoder of 16,384 latents."""

CANDIDATE_BATCHES = 16
"""The candidates come from so many batches, because one batch holds few texts."""

PREFIX_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
"""Of the latents, the prefixes of matryoshka where no widths are given: the paper's doubling, five levels."""

LOGITS_AT_ONCE = 1 << 24
"""Logits are the largest tensor by far where a vocabulary is large: a forward pass of an evaluation makes at most so many, or
those of one context."""
