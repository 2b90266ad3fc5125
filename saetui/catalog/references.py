"""Whether the model and dataset of a template are on this machine. The answer is kept until the files change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from saetui.catalog.datasets import find_dataset
from saetui.catalog.models import find_model
from saetui.errors import SaetuiError
from saetui.sources.dataset_files import EVERYTHING
from saetui.sources.hub_cache import Kind, find_snapshot

AGAIN_SECONDS = 10.0
"""After this time unusable files are examined again: a change deeper than their own mtime may have made them usable."""


class Reference(NamedTuple):
    """A name in a spec. `field`: `model` or `dataset`; `split`: of a dataset."""

    field: str
    name: str
    revision: str | None = None
    split: str = EVERYTHING


class _Found(NamedTuple):
    """The result of one examination, and its time (monotonic)."""

    mark: tuple[object, ...]
    here: bool
    at: float


class References:
    """Remembers which references are on this machine. `scans` counts how often files were really examined."""

    def __init__(self) -> None:
        self._found: dict[Reference, _Found] = {}
        self.scans = 0

    def known_missing(self, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """The fields whose reference is known to be missing. Reads no files: a reference that was never examined is not missing."""
        found = ((reference.field, self._found.get(reference)) for reference in references_of(spec))
        return tuple(field for field, seen in found if seen is not None and not seen.here)

    def refresh(self, spec: Mapping[str, Any]) -> None:
        """Examine the references of a spec again if their files have changed. Reads files, and may wait for a slow disk."""
        for reference in references_of(spec):
            mark, seen = _mark(reference), self._found.get(reference)
            if seen is None or seen.mark != mark or self._is_doubtful(seen):
                self.scans += 1
                self._found[reference] = _Found(mark, _is_here(reference), time.monotonic())

    def _is_doubtful(self, seen: _Found) -> bool:
        return not seen.here and seen.mark != () and time.monotonic() - seen.at > AGAIN_SECONDS


def references_of(spec: Mapping[str, Any]) -> list[Reference]:
    """The references in a spec, of which any field may be missing."""
    found = []
    model, revision, dataset = spec.get("model"), spec.get("revision"), spec.get("dataset")
    if isinstance(model, str):
        found.append(Reference("model", model, revision if isinstance(revision, str) else None))
    if isinstance(dataset, dict) and isinstance(dataset.get("source"), str):
        split = dataset.get("split")
        found.append(Reference("dataset", dataset["source"], split=split if isinstance(split, str) else EVERYTHING))
    return found


def _is_here(reference: Reference) -> bool:
    try:
        if reference.field == "model":
            find_model(reference.name, reference.revision)
        else:
            find_dataset(reference.name, 1, reference.split)
    except (SaetuiError, OSError, ValueError):
        return False
    return True


def _mark(reference: Reference) -> tuple[object, ...]:
    """A value that changes with the files of a reference; empty where there are none, or they come with saetui."""
    if reference.name.startswith("bundled:"):
        return ()
    try:
        path = Path(reference.name).expanduser()
        if not path.exists():
            kind: Kind = "models" if reference.field == "model" else "datasets"
            snapshot = find_snapshot(kind, reference.name, reference.revision)
            if snapshot is None:
                return ()
            path = snapshot
        files = [path, path / "config.json"] if reference.field == "model" else [path]
        found = [file.stat() for file in files if file.exists()]
    except (OSError, ValueError, RuntimeError):
        # The name is too long, a link to itself, or has an unknown user: there are no files.
        return ()
    return tuple((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size) for status in found)
