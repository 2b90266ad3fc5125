"""Whether a training's activations come from the model or from the cache on disk, and whether they are kept there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from saetui.activations import ActivationExtractor, Site, TokenDataset
from saetui.activations.cache_layout import ActivationEntry, cached_bytes, empty_manifest, find_entry
from saetui.activations.cache_reading import CachedRows
from saetui.activations.cache_writing import EntryWriter, RecordingRows
from saetui.activations.rows import ModelRows, RowReader
from saetui.catalog.cache_limit import make_room, read_limit
from saetui.catalog.caches import ACTIVATIONS, list_caches
from saetui.errors import Conflict
from saetui.spec.training_spec import TrainingSpec

Tell = Callable[[str], None]
"""Takes a sentence for the job's events."""


def open_rows(
    extractor: ActivationExtractor, dataset: TokenDataset, spec: TrainingSpec, cache: Path, tell: Tell
) -> RowReader:
    """The cache, where all that a training reads is in it; else the model, recorded where the user has set a limit.

    What the cache holds is what the model gave, bit for bit, so a training may go on with the one where it began
    with the other.

    Args:
        extractor: what is read.
        dataset: the tokens.
        spec: for the seed, and what the dataset is named.
        cache: the cache directory of the home.
        tell: told where the activations come from, unless it is simply the model.
    """
    model = ModelRows(extractor, dataset)
    root = cache / ACTIVATIONS
    keeps = read_limit(cache) is not None
    if not keeps and not _may_be_there(extractor, dataset, cache):
        # Naming an entry reads all the model's weights, which nobody needs to wait for here.
        return model
    entries = [find_entry(root, extractor, site, dataset) for site in extractor.sites]
    if all(_is_complete(entry) for entry in entries):
        tell(f"Activations come from the cache: {_names(extractor.sites)}")
        return CachedRows(entries, dataset, model.device)
    return _recorded(model, extractor, dataset, spec, entries, cache, tell) if keeps else model


def open_writers(
    entries: Sequence[ActivationEntry],
    extractor: ActivationExtractor,
    dataset: TokenDataset,
    source: str,
    order_seed: int,
    cache: Path,
) -> list[EntryWriter]:
    """Writers for those entries that are not complete, with room made for them.

    Args:
        entries: one for each of the extractor's sites.
        extractor: what is read.
        dataset: the tokens.
        source: what the dataset is named.
        order_seed: of the order in which new entries are written.
        cache: the cache directory of the home.

    Raises:
        Conflict: there is no room for them.
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
    tell: Tell,
) -> RowReader:
    def finished(error: OSError | None) -> RowReader | None:
        if error is not None:
            tell(f"Activations are no longer kept: {error.strerror or error}. The training goes on")
            return None
        if not all(_is_complete(entry) for entry in entries):
            return None
        tell(f"All activations are in the cache and come from there from now on: {_names(extractor.sites)}")
        return CachedRows(entries, dataset, model.device)

    try:
        writers = open_writers(entries, extractor, dataset, spec.dataset.source, spec.seed, cache)
    except (Conflict, OSError) as error:
        tell(f"Activations are not kept: {error.message if isinstance(error, Conflict) else error.strerror}")
        return model
    # One that another training writes in another order is left to it.
    mine = [writer for writer in writers if writer.manifest.order_seed == spec.seed]
    for writer in writers:
        if writer not in mine:
            writer.close()
    if not mine:
        return model
    tell(f"Activations are kept as they are read: {', '.join(writer.site for writer in mine)}")
    return RecordingRows(model, mine, finished)


def _may_be_there(extractor: ActivationExtractor, dataset: TokenDataset, cache: Path) -> bool:
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
