"""`python -m saetui.training.tasks.build_cache`: extracts the activations that a spec reads, for `saetui cache build`.

The request: `{"spec": SPEC}`. An interrupted build continues.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from saetui.activations import ActivationExtractor, open_model, prepare_tokens
from saetui.activations.cache_layout import find_entry
from saetui.activations.cache_recording import fill_entries
from saetui.activations.rows import ModelRows
from saetui.catalog.caches import list_caches
from saetui.errors import Conflict, HomeError
from saetui.formats.caches import ACTIVATIONS
from saetui.home import find_home
from saetui.spec.settings import contexts_per_pass
from saetui.spec.validation import complete_spec
from saetui.training.pairs import pairs_of, sites_read
from saetui.training.progress import Progress, tokenising
from saetui.training.stream import kind_of, open_writers
from saetui.training.tasks.task import report, serve_task

_REPORT_STEP = 0.05


def build(request: dict[str, Any]) -> list[Any]:
    """Extract the activations that are not in the cache yet.

    Returns:
        The entries of all sites, as `saetui cache list --json` shows them.

    Raises:
        SaetuiError: the spec, the model or the text cannot be used, or there is not enough space.
    """
    spec = complete_spec(request["spec"]).spec
    cache = find_home().make().cache
    report(f"Loading {spec.model}")
    sites = sites_read(pairs_of(spec))
    last_layer = max(site.layer for site in sites)
    model = open_model(spec.model, spec.revision, spec.device, spec.dtype, last_layer=last_layer)
    report(f"Reading {spec.dataset.source}")
    dataset = prepare_tokens(
        spec.dataset.source,
        model.tokenizer,
        context_length=spec.dataset.context_length,
        cache_directory=cache,
        text_field=spec.dataset.text_field,
        split=spec.dataset.split,
        own_process=True,
        progress=tokenising(spec.dataset.source, report, _REPORT_STEP),
    )
    for note in dataset.notes:
        report(note)
    extractor = ActivationExtractor(model, sites)
    entries = [find_entry(cache / ACTIVATIONS, extractor, site, dataset) for site in sites]
    try:
        writers = open_writers(entries, extractor, dataset, spec.dataset.source, spec.seed, cache)
        micro_batch = contexts_per_pass(kind_of(model.device), dataset.context_length)
        progress = Progress("Extracting activations", report, _REPORT_STEP)
        fill_entries(
            ModelRows(extractor, dataset), writers, lambda done, total: progress(done / max(1, total)), micro_batch
        )
    except OSError as error:
        raise HomeError(
            f"Activations cannot be kept in {cache / ACTIVATIONS}: {error.strerror or error}.",
            "Free some space and build again: finished parts stay.",
        ) from error
    keys = [entry.key for entry in entries]
    found = [entry for entry in list_caches(cache) if entry.key in keys]
    if not all(entry.complete for entry in found):
        raise Conflict("Another process is extracting some of these activations.", "Wait for its end.")
    return [msgspec.to_builtins(entry) for entry in found]


if __name__ == "__main__":
    sys.exit(serve_task(build))
