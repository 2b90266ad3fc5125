"""Which of a template's model and dataset are on this machine: looked at once, and again when what lies there has changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from saetui.catalog.datasets import find_dataset
from saetui.catalog.models import find_model
from saetui.errors import SaetuiError
from saetui.sources.dataset_files import EVERYTHING
from saetui.sources.hub_cache import Kind, find_snapshot

AGAIN_SECONDS = 10.0
"""What is there and was not usable is looked at again after so long: what it lacked may lie deeper than its own mtime."""


class Reference(NamedTuple):
    """What a spec names. `field`: of the spec, `model` or `dataset`; `split`: of a dataset."""

    field: str
    name: str
    revision: str | None = None
    split: str = EVERYTHING


@dataclass(frozen=True)
class _Seen:
    """How a reference was found, and at what time (monotonic)."""

    mark: tuple[object, ...]
    here: bool
    at: float


class References:
    """Remembers what was found. `scans` counts how often a model or dataset was really looked through."""

    def __init__(self) -> None:
        self._seen: dict[Reference, _Seen] = {}
        self.scans = 0

    def known_missing(self, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """The fields whose reference is known not to be here. Reads nothing: what was never looked at counts as here."""
        return tuple(reference.field for reference in references_of(spec) if self._is_known_missing(reference))

    def refresh(self, spec: Mapping[str, Any]) -> None:
        """Look at what a spec names, as far as that has changed. Reads files, and may wait for a slow disk."""
        for reference in references_of(spec):
            mark, seen = _mark(reference), self._seen.get(reference)
            if seen is None or seen.mark != mark or self._is_doubtful(seen):
                self.scans += 1
                self._seen[reference] = _Seen(mark, _is_here(reference), time.monotonic())

    def _is_known_missing(self, reference: Reference) -> bool:
        seen = self._seen.get(reference)
        return seen is not None and not seen.here

    def _is_doubtful(self, seen: _Seen) -> bool:
        return not seen.here and seen.mark != () and time.monotonic() - seen.at > AGAIN_SECONDS


def references_of(spec: Mapping[str, Any]) -> list[Reference]:
    """What a spec, of which any field may be missing, names."""
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
    """What changes when the thing that is named changes; empty where there is none (or it comes with saetui)."""
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
        # Too long, a link to itself, a user that does not exist: nothing is there.
        return ()
    return tuple((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size) for status in found)
