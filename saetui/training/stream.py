"""Where the batches of a training come from."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from saetui.activations import ActivationExtractor, BatchStream, TokenDataset
from saetui.activations.cache_reading import CachedRows
from saetui.activations.rows import RowReader
from saetui.home import find_home
from saetui.jobs.settings import Settings
from saetui.jobs.spec import TrainingSpec
from saetui.training.caching import open_rows

MICRO_BATCH = 16
CPU_TOKENS, GPU_TOKENS = 2048, 8192
"""Of one forward pass: on a processor more no longer helps, on a GPU a small model waits for its launches below."""
BUFFER_BATCHES = 16
"""The shuffling buffer holds about so many batches: neighbours in a batch come from hundreds of contexts."""


def open_stream(
    extractor: ActivationExtractor,
    dataset: TokenDataset,
    settings: Settings,
    spec: TrainingSpec,
    tell: Callable[[str], None] = lambda sentence: None,
) -> BatchStream:
    """Activations of every site, shuffled through a buffer, from the model or from the cache on disk.

    They are kept and handed out in the model's own dtype: a wider one would hold nothing more.

    Args:
        extractor: what to read.
        dataset: the tokens.
        settings: the run's numbers.
        spec: for the seed, and what the dataset is named.
        tell: takes a sentence on the cache, where there is something to say.
    """
    contexts = math.ceil(BUFFER_BATCHES * settings.batch_size / dataset.context_length)
    whole = max(1, min(contexts, len(dataset.train)))
    micro_batch = contexts_at_a_time(extractor.model.device, dataset.context_length)
    rows = open_rows(extractor, dataset, spec, find_home().cache, tell)
    return BatchStream(
        rows,
        dataset,
        batch_size=settings.batch_size,
        seed=spec.seed,
        contexts_per_block=math.ceil(whole / micro_batch) * micro_batch,
        micro_batch=micro_batch,
        background=fills_in_background(rows),
    )


def contexts_at_a_time(device: torch.device, context_length: int) -> int:
    """How many contexts a forward pass takes: enough tokens to keep a device busy, few enough to stay small."""
    tokens = GPU_TOKENS if device.type == "cuda" else CPU_TOKENS
    return max(1, tokens // context_length)


def fills_in_background(rows: RowReader) -> bool:
    """Whether reading and training have something to gain from each other's waiting.

    On a processor a model and an SAE want the same cores at all times; a disk or a GPU's queue do not.
    """
    return rows.device.type == "cuda" or isinstance(rows, CachedRows)
