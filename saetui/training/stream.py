"""Where the batches of a training come from."""

from __future__ import annotations

import math

import torch

from saetui.activations import ActivationExtractor, BatchStream, TokenDataset
from saetui.jobs.settings import Settings
from saetui.jobs.spec import TrainingSpec

MICRO_BATCH = 16
BUFFER_BATCHES = 16
"""The shuffling buffer holds about so many batches: neighbours in a batch come from hundreds of contexts."""


def open_stream(
    extractor: ActivationExtractor, dataset: TokenDataset, settings: Settings, spec: TrainingSpec
) -> BatchStream:
    """Activations of every site, shuffled through a buffer, straight from the model."""
    contexts = math.ceil(BUFFER_BATCHES * settings.batch_size / dataset.context_length)
    whole = max(1, min(contexts, len(dataset.train)))
    return BatchStream(
        extractor,
        dataset,
        batch_size=settings.batch_size,
        seed=spec.seed,
        contexts_per_block=math.ceil(whole / MICRO_BATCH) * MICRO_BATCH,
        micro_batch=MICRO_BATCH,
        dtype=torch.float32,
    )
