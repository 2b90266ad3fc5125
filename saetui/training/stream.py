"""Where the batches of a training come from."""

from __future__ import annotations

from collections.abc import Callable

import torch

from saetui.activations import ActivationExtractor, BatchStream, TokenDataset
from saetui.activations.cache_reading import CachedRows
from saetui.activations.rows import RowReader
from saetui.home import find_home
from saetui.spec.settings import Settings, contexts_at_a_time, contexts_of_a_block
from saetui.spec.training_spec import TrainingSpec
from saetui.training.caching import open_rows


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
    length = dataset.context_length
    micro_batch = contexts_at_a_time(kind_of(extractor.model.device), length)
    rows = open_rows(extractor, dataset, spec, find_home().cache, tell)
    return BatchStream(
        rows,
        dataset,
        batch_size=settings.batch_size,
        seed=spec.seed,
        contexts_per_block=contexts_of_a_block(settings.batch_size, length, micro_batch, len(dataset.train)),
        micro_batch=micro_batch,
        background=fills_in_background(rows),
    )


def fills_in_background(rows: RowReader) -> bool:
    """Whether reading and training have something to gain from each other's waiting.

    On a processor a model and an SAE want the same cores at all times; a disk or a GPU's queue do not. Where a GPU shares the
    processor's memory, another window costs more than the queue's gaps.
    """
    return kind_of(rows.device) == "cuda" or isinstance(rows, CachedRows)


def kind_of(device: torch.device) -> str:
    """What the estimate of memory calls a device: `cpu`, `jetson` or `cuda`."""
    if device.type != "cuda":
        return "cpu"
    return "jetson" if torch.cuda.get_device_properties(device).is_integrated else "cuda"
