"""In what pieces a training reads its model: the trainer goes by it, and the estimate of its memory."""

from __future__ import annotations

import math

BUFFER_BATCHES = 16
"""The shuffling buffer holds about so many batches: neighbours in a batch come from hundreds of contexts."""

_TOKENS_AT_A_TIME = {"cpu": 2048, "jetson": 2048, "cuda": 8192}
"""Of one forward pass: on a processor more no longer helps, on a large GPU a small model waits for its launches below."""


def contexts_at_a_time(kind: str, context_length: int) -> int:
    """How many contexts a forward pass takes: enough tokens to keep a device busy, few enough to stay small.

    Args:
        kind: of device: `cpu`, `jetson` (a GPU in the processor's memory) or `cuda` (a card of its own).
        context_length: tokens in a context.
    """
    return max(1, _TOKENS_AT_A_TIME[kind] // context_length)


def contexts_of_a_block(batch_size: int, context_length: int, at_a_time: int, contexts: int | None = None) -> int:
    """How many contexts the shuffling buffer reads for each of its windows: whole forward passes.

    Args:
        batch_size: tokens in a batch.
        context_length: tokens in a context.
        at_a_time: contexts of a forward pass.
        contexts: how many there are to train on, where it is known.
    """
    wanted = math.ceil(BUFFER_BATCHES * batch_size / context_length)
    if contexts is not None:
        wanted = max(1, min(wanted, contexts))
    return math.ceil(wanted / at_a_time) * at_a_time
