"""A look at the machine for a draft: is its model here, its text, and do they go together? Reads files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.suggester import Suggester

from saetui.catalog.datasets import DatasetInfo, find_dataset
from saetui.catalog.models import ModelInfo, find_model
from saetui.client.estimate import estimate_on_this_machine
from saetui.display import figures
from saetui.errors import DatasetError, ModelError
from saetui.formats.paths import why_no_path
from saetui.protocol.messages import DeviceReading
from saetui.sources.dataset_files import EVERYTHING
from saetui.spec.estimates import Estimate
from saetui.spec.problems import Problem, Severity, errors_of
from saetui.spec.validation import check_everything, complete_spec


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        problems: of fields and machine together.
        model, dataset: None where they are not here.
        foretold: memory and time; None while something is wrong.
    """

    problems: tuple[Problem, ...]
    model: ModelInfo | None
    dataset: DatasetInfo | None
    foretold: Estimate | None = None


NOTHING_SEEN = Look((), None, None)


def look_at(
    raw: Mapping[str, Any],
    unreadable: tuple[Problem, ...] = (),
    before: Look = NOTHING_SEEN,
    device: DeviceReading | None = None,
) -> Look:
    """Check a draft against the machine. Not for an event loop: it reads files.

    Args:
        raw: the spec as JSON values.
        unreadable: what was typed that is no value, and so is not in `raw`.
        before: what was found last; its dataset is not measured again.
        device: how the machine is now, for the estimate.
    """
    problems = (*unreadable, *check_everything(raw))
    dataset = raw.get("dataset")
    source = dataset.get("source") if isinstance(dataset, Mapping) else None
    split = dataset.get("split") if isinstance(dataset, Mapping) else None
    measured = before.dataset
    if measured is None or (measured.source, measured.split) != (source, split or EVERYTHING):
        measured = _dataset_of(source, split)
    model = model_of(raw.get("model"), raw.get("revision"))
    foretold = None
    if model is not None and not errors_of(problems):
        try:
            foretold = estimate_on_this_machine(complete_spec(raw).spec, model, device)
            problems = (*problems, *too_large(foretold, device))
        except ModelError as error:
            damaged = Problem(field="model", message=error.message, suggestion=error.suggestion, kind=error.kind)
            problems = (*problems, damaged)
    return Look(problems, model, measured, foretold)


def too_large(foretold: Estimate, device: DeviceReading | None) -> Iterator[Problem]:
    """What to say of a training that does not fit: forbidden where it never can, a warning where others are in its way."""
    if foretold.fits is not False or foretold.available_bytes is None:
        return
    never = device is not None and device.memory_total is not None and foretold.total_bytes > device.memory_total
    room = (
        f"{figures.size(device.memory_total)} of this machine"
        if never and device is not None
        else (f"{figures.size(foretold.available_bytes)} that are free now")
    )
    yield Problem(
        field="hyperparameters.expansion_factor",
        message=f"the training needs about {figures.size(foretold.total_bytes)}, more than the {room}.",
        suggestion=foretold.suggestion,
        severity=Severity.ERROR if never else Severity.WARNING,
    )


def model_of(reference: object, revision: object = None) -> ModelInfo | None:
    """A model, or None where there is none of that name; why not is among the problems."""
    if not isinstance(reference, str) or not reference.strip():
        return None
    try:
        return find_model(reference, revision if isinstance(revision, str) else None)
    except ModelError:
        return None


def _dataset_of(source: object, split: object) -> DatasetInfo | None:
    if not isinstance(source, str) or not source.strip():
        return None
    try:
        return find_dataset(source, 2, split if isinstance(split, str) and split else EVERYTHING)
    except DatasetError:
        return None


class PathSuggester(Suggester):
    """Completes known names, then paths of this machine; `→` accepts."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._known = known

    async def get_suggestion(self, value: str) -> str | None:
        if not value:
            return None
        for name in self._known:
            if name.startswith(value) and name != value:
                return name
        return complete_path(value) if value.startswith(("/", "~", ".")) else None


def complete_path(text: str) -> str | None:
    """The first path that begins with a text; directories end in a slash."""
    if why_no_path(text) is not None:
        return None
    head, slash, start = text.rpartition("/")
    folder = Path(head or ("/" if slash else ".")).expanduser()
    try:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    except OSError:
        return None
    shown = [name for name in names if name.startswith(start) and (start or not name.startswith("."))]
    return f"{head}{slash}{shown[0]}" if shown and name_is_plain(shown[0]) else None


def name_is_plain(name: str) -> bool:
    """Whether a file's name can be shown in an input as it is."""
    return name.isprintable()
