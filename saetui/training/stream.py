"""Where the batches of a training come from: the model or the cache on disk, through a shuffling buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from saetui.activations import ActivationExtractor, BatchStream, Site, TokenDataset
from saetui.activations.cache_layout import ActivationEntry, cached_bytes, empty_manifest, find_entry
from saetui.activations.cache_reading import CachedRows
from saetui.activations.cache_recording import RecordingRows
from saetui.activations.cache_writing import EntryWriter
from saetui.activations.rows import ModelRows, RowReader
from saetui.catalog.cache_limit import make_room, read_limit
from saetui.catalog.caches import list_caches
from saetui.errors import Conflict
from saetui.formats.caches import ACTIVATIONS
from saetui.home import find_home
from saetui.spec.settings import Settings, contexts_per_pass, contexts_per_window
from saetui.spec.training_spec import TrainingSpec

Report = Callable[[str], None]
"""Takes a sentence for the job's events."""


def open_stream(
    extractor: ActivationExtractor,
    dataset: TokenDataset,
    settings: Settings,
    spec: TrainingSpec,
    report: Report = lambda sentence: None,
) -> BatchStream:
    """Activations of every site, shuffled through a buffer.

    They are kept and handed out in the model's own dtype: a wider one would hold nothing more.

    `report` takes a sentence where the cache is used or written.
    """
    length = dataset.context_length
    micro_batch = contexts_per_pass(kind_of(extractor.model.device), length)
    rows = open_rows(extractor, dataset, spec, find_home().cache, report)
    return BatchStream(
        rows,
        dataset,
        batch_size=settings.batch_size,
        seed=spec.seed,
        contexts_per_block=contexts_per_window(settings.batch_size, length, micro_batch, len(dataset.train)),
        micro_batch=micro_batch,
        background=fills_in_background(rows),
    )


def fills_in_background(rows: RowReader) -> bool:
    """Whether reading and training gain from running at the same time.

    On a processor a model and an SAE want the same cores at all times; a disk or a GPU's queue do not. Where a GPU shares the
    processor's memory, a second block in memory costs more than the queue's gaps.
    """
    return kind_of(rows.device) == "cuda" or isinstance(rows, CachedRows)


def kind_of(device: torch.device) -> str:
    """A device's name in the estimate of memory: `cpu`, `jetson` or `cuda`."""
    if device.type != "cuda":
        return "cpu"
    return "jetson" if torch.cuda.get_device_properties(device).is_integrated else "cuda"


def open_rows(
    extractor: ActivationExtractor, dataset: TokenDataset, spec: TrainingSpec, cache: Path, report: Report
) -> RowReader:
    """The cache, where it holds all that a training reads; else the model, recorded where the user has set a limit.

    The cache holds what the model gave, bit for bit, so a training may begin with the one and go on with the other.

    `report` takes a sentence on where the activations come from, unless it is simply the model.
    """
    model = ModelRows(extractor, dataset)
    root = cache / ACTIVATIONS
    keeps = read_limit(cache) is not None
    if not keeps and not _may_be_cached(extractor, dataset, cache):
        # Naming an entry reads all the model's weights, which nobody needs to wait for here.
        return model
    entries = [find_entry(root, extractor, site, dataset) for site in extractor.sites]
    if all(_is_complete(entry) for entry in entries):
        report(f"Activations come from the cache: {_names(extractor.sites)}")
        return CachedRows(entries, dataset, model.device)
    return _recorded(model, extractor, dataset, spec, entries, cache, report) if keeps else model


def open_writers(
    entries: Sequence[ActivationEntry],
    extractor: ActivationExtractor,
    dataset: TokenDataset,
    source: str,
    order_seed: int,
    cache: Path,
) -> list[EntryWriter]:
    """Writers for those entries that are not complete; older entries are deleted where the cache's limit asks for it.

    Args:
        entries: one for each of the extractor's sites.
        source: the name of the dataset.
        order_seed: of the order in which new entries are written.

    Raises:
        Conflict: there is not enough space for them.
        OSError: the directory cannot be written to.
    """
    keys = [entry.key for entry in entries]
    there = sum(entry.bytes for entry in list_caches(cache) if entry.key in keys)
    (cache / ACTIVATIONS).mkdir(mode=0o700, parents=True, exist_ok=True)
    make_room(cache, max(0, cached_bytes(extractor, dataset) - there), keep=keys)
    opened = (
        EntryWriter.open(entry, empty_manifest(extractor, site, dataset, source, order_seed), dataset)
        for entry, site in zip(entries, extractor.sites)
    )
    return [writer for writer in opened if writer is not None]


def _recorded(
    model: ModelRows,
    extractor: ActivationExtractor,
    dataset: TokenDataset,
    spec: TrainingSpec,
    entries: Sequence[ActivationEntry],
    cache: Path,
    report: Report,
) -> RowReader:
    def finished(error: OSError | None) -> RowReader | None:
        if error is not None:
            report(f"Activations are no longer kept: {error.strerror or error}. The training goes on")
            return None
        if not all(_is_complete(entry) for entry in entries):
            return None
        report(f"All activations are in the cache and come from there from now on: {_names(extractor.sites)}")
        return CachedRows(entries, dataset, model.device)

    try:
        writers = open_writers(entries, extractor, dataset, spec.dataset.source, spec.seed, cache)
    except (Conflict, OSError) as error:
        report(f"Activations are not kept: {error.message if isinstance(error, Conflict) else error.strerror}")
        return model
    # An entry that another training writes in another order is left to that training.
    mine = [writer for writer in writers if writer.manifest.order_seed == spec.seed]
    for writer in writers:
        if writer not in mine:
            writer.close()
    if not mine:
        return model
    report(f"Activations are kept as they are read: {', '.join(writer.site for writer in mine)}")
    return RecordingRows(model, mine, finished)


def _may_be_cached(extractor: ActivationExtractor, dataset: TokenDataset, cache: Path) -> bool:
    dtype = str(extractor.model.dtype).removeprefix("torch.")
    found = {
        entry.site
        for entry in list_caches(cache)
        if entry.kind == ACTIVATIONS and entry.complete and (entry.dataset_key, entry.dtype) == (dataset.key, dtype)
    }
    return found.issuperset(site.name for site in extractor.sites)


def _is_complete(entry: ActivationEntry) -> bool:
    manifest = entry.read_manifest()
    return manifest is not None and manifest.is_complete


def _names(sites: Sequence[Site]) -> str:
    return ", ".join(site.name for site in sites)
