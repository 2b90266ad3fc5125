"""Checks a draft against this machine: are its model and its text here, and does the training fit? Reads files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from saetui.catalog.datasets import DatasetInfo, find_dataset
from saetui.catalog.models import ModelInfo, find_model
from saetui.client.estimate import estimate_on_this_machine
from saetui.display.figures import size
from saetui.errors import DatasetError, ModelError, TorchError
from saetui.formats.names import free_name
from saetui.protocol.messages import DeviceReading
from saetui.sources.dataset_files import EVERYTHING
from saetui.spec.estimates import Estimate, slow_dtype
from saetui.spec.problems import Problem, Severity, errors_of
from saetui.spec.validation import check_everything, complete_spec
from saetui.tui.draft import Draft
from saetui.tui.run_figures import derived_values


@dataclass(frozen=True)
class DraftCheck:
    """The result of a check.

    Attributes:
        problems: of fields and machine together.
        model, dataset: None where they are not here.
        estimate: memory and time; None while there is an error.
    """

    problems: tuple[Problem, ...] = ()
    model: ModelInfo | None = None
    dataset: DatasetInfo | None = None
    estimate: Estimate | None = None


UNCHECKED = DraftCheck()


def check_draft(
    raw: Mapping[str, Any],
    unreadable: tuple[Problem, ...] = (),
    before: DraftCheck = UNCHECKED,
    device: DeviceReading | None = None,
) -> DraftCheck:
    """Check a draft against the machine. Not for an event loop: it reads files.

    Args:
        raw: the spec as JSON values.
        unreadable: problems with texts that are not values and so not in `raw`.
        before: the last check; its dataset is not measured again.
        device: the machine now, for the estimate.
    """
    problems = (*unreadable, *check_everything(raw))
    dataset = raw.get("dataset")
    source = dataset.get("source") if isinstance(dataset, Mapping) else None
    split = dataset.get("split") if isinstance(dataset, Mapping) else None
    measured = before.dataset
    if measured is None or (measured.source, measured.split) != (source, split or EVERYTHING):
        measured = _dataset_of(source, split)
    model = model_of(raw.get("model"), raw.get("revision"))
    estimate = None
    if model is not None and not errors_of(problems):
        try:
            spec = complete_spec(raw).spec
            estimate = estimate_on_this_machine(spec, model, device)
            slow = slow_dtype(spec, estimate)
            problems = (*problems, *_too_large(estimate, device), *(() if slow is None else (slow,)))
        except ModelError as error:
            damaged = Problem(field="model", message=error.message, suggestion=error.suggestion, kind=error.kind)
            problems = (*problems, damaged)
    return DraftCheck(problems, model, measured, estimate)


def model_of(reference: object, revision: object = None) -> ModelInfo | None:
    """The model of this name, or None; the reason is among the problems."""
    if not isinstance(reference, str) or not reference.strip():
        return None
    try:
        return find_model(reference, revision if isinstance(revision, str) else None)
    except ModelError:
        return None


def filled_draft(before: Draft, spec: Mapping[str, Any], template: str | None, taken: Collection[str] = ()) -> Draft:
    """A draft from a spec or template; where that names no model or dataset, those of the draft `before` stay.

    `taken`: the names of jobs; a copy of a job that somebody has named gets the same name with a number.
    """
    draft = Draft()
    for field in ("model", "dataset.source"):
        draft.set_text(field, before.text(field))
    model = model_of(spec.get("model") or draft.text("model"), spec.get("revision"))
    draft.load(spec, None if model is None else model.hidden_size)
    draft.template = template
    generated = derived_values(draft, model).get("name", "")
    if generated and re.fullmatch(re.escape(generated) + r"(_\d+)?", draft.text("name")):
        draft.set_text("name", "")  # nobody typed it, so it goes on following the rest
    elif draft.text("name"):
        draft.set_text("name", _next_name(draft.text("name"), taken))
    return draft


def _next_name(name: str, taken: Collection[str]) -> str:
    """The name, or where it is taken the same with the next free number: `mine_2` after `mine`, `mine_3` after `mine_2`."""
    if name not in taken:
        return name
    first = re.sub(r"_\d+$", "", name)
    return free_name(first, {*taken, first})


def _dataset_of(source: object, split: object) -> DatasetInfo | None:
    if not isinstance(source, str) or not source.strip():
        return None
    try:
        return find_dataset(source, 2, split if isinstance(split, str) and split else EVERYTHING)
    except DatasetError:
        return None


def _too_large(estimate: Estimate, device: DeviceReading | None) -> Iterator[Problem]:
    """A training that does not fit: an error where it never can, a warning where other processes take the memory."""
    if estimate.fits is not False or estimate.available_bytes is None:
        return
    total = None if device is None else device.memory_total
    never = total is not None and estimate.total_bytes > total
    room = f"{size(total)} of this machine" if never else f"{size(estimate.available_bytes)} that are free now"
    yield Problem(
        field="hyperparameters.expansion_factor",
        message=f"the training needs about {size(estimate.total_bytes)}, more than the {room}.",
        suggestion=estimate.suggestion,
        severity=Severity.ERROR if never else Severity.WARNING,
    )


def machine_problems(device: DeviceReading | None) -> list[Problem]:
    """Why no training at all can start on this machine, as a problem of the device. Empty where one can."""
    if device is None or device.cannot_train is None:
        return []
    found = device.cannot_train
    return [Problem(field="device", message=found.message, suggestion=found.suggestion, kind=TorchError.kind)]


class KnownProblems:
    """What is known to be wrong with a draft that is being edited.

    Attributes:
        last: the last check.
        current: nothing was edited since the last check.
    """

    def __init__(self) -> None:
        self.last = UNCHECKED
        self.current = False
        self._machine: tuple[Problem, ...] = ()  # found by the last check alone, not by the fields
        self._edited: set[str] = set()  # fields that have changed since
        self._refusal: tuple[Problem, ...] = ()

    def edit(self, field: str) -> None:
        """A field was edited."""
        self._refusal = ()
        self._edited.add(field)

    def take(self, check: DraftCheck, draft: Draft) -> None:
        """A check of the draft as it is now."""
        by_fields = draft.problems()
        self._machine = tuple(problem for problem in check.problems if problem not in by_fields)
        self._edited.clear()
        self.last, self.current = check, True

    def refuse(self, problems: Iterable[Problem]) -> None:
        """The supervisor refused the draft."""
        self._refusal = tuple(problems)

    def of(self, draft: Draft) -> Sequence[Problem]:
        """All problems after a check; before it, those of the fields, and earlier ones of fields that have not changed."""
        if self._refusal:
            return self._refusal
        if self.current:
            return self.last.problems
        return [*draft.problems(), *(old for old in self._machine if old.field not in self._edited)]
