"""The content of the form of a new training: texts as they were typed. Knows no widget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

from saetui.display.figures import plain_number
from saetui.errors import InvalidInput
from saetui.spec.architectures import ARCHITECTURES, default_hook_points
from saetui.spec.chosen import chosen_values
from saetui.spec.hyperparameter import without_separators
from saetui.spec.hyperparameters import HYPERPARAMETERS, Value, for_architecture, siblings
from saetui.spec.problems import Problem, SpecError, errors_of
from saetui.spec.settings import Settings, resolve
from saetui.spec.training_spec import SPEC_FIELDS, check_fields, parse_spec
from saetui.tui.fields import ARCHITECTURE_FIELD, MODEL_FIELDS, PREFIX

_WHOLE = ("seed", "dataset.context_length")
_TEXTS = tuple(field.field for field in MODEL_FIELDS)
DEFAULT_MODEL = "bundled:tiny"
DEFAULT_DATASET = "bundled:stdlib"


class Draft:
    """The form's content. An empty text stands for the default; of linked hyperparameters only one is set.

    Values that the chosen architecture does not use are kept, so that trying another architecture loses nothing.

    Attributes:
        layers: chosen layers, ascending; None until the user chooses, which stands for the middle one.
        template: the id of the template that it was loaded from.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {"model": DEFAULT_MODEL, "dataset.source": DEFAULT_DATASET}
        self.architecture = ARCHITECTURE_FIELD.default
        self.layers: tuple[int, ...] | None = None
        self.hook_points: tuple[str, ...] = ("resid_post",)
        self.template: str | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any], d_in: int | None = None, template: str | None = None) -> Draft:
        """A form filled from a spec (any field may be missing). See `load`."""
        draft = cls()
        draft.load(raw, d_in)
        draft.template = template
        return draft

    def text(self, field: str) -> str:
        """The text of a field; empty: the default."""
        return self.architecture if field == "architecture" else self._texts.get(field, "")

    def set_text(self, field: str, text: str) -> tuple[str, ...]:
        """Type a text. Returns the linked fields that this emptied."""
        if field == "architecture":
            self._choose_architecture(text)
            return ()
        if text:
            self._texts[field] = text
        else:
            self._texts.pop(field, None)
        if not (text and field.startswith(PREFIX)):
            return ()
        linked = siblings(field.removeprefix(PREFIX), self.architecture)
        emptied = [PREFIX + name for name in linked if PREFIX + name in self._texts]
        for other in emptied:
            del self._texts[other]
        return tuple(emptied)

    def set_default(self, field: str) -> None:
        """Reset one field to its value in an empty form."""
        if field == "architecture":
            self._choose_architecture(ARCHITECTURE_FIELD.default)
        else:
            self.set_text(field, {"model": DEFAULT_MODEL, "dataset.source": DEFAULT_DATASET}.get(field, ""))

    def raw(self) -> dict[str, Any]:
        """The spec as JSON values, without empty fields and texts that are not values."""
        return self._read()[0]

    def typing_problems(self) -> list[Problem]:
        """Texts that are not values."""
        return self._read()[1]

    def problems(self) -> list[Problem]:
        """Everything that is wrong with the fields, without checking the machine."""
        raw, unreadable = self._read()
        return unreadable + check_fields(raw)

    def settings(self, d_in: int) -> Settings | None:
        """The numbers of the run; None while a field is wrong."""
        raw, unreadable = self._read()
        if unreadable or errors_of(check_fields(raw)):
            return None
        try:
            return resolve(parse_spec(raw)[0], d_in)
        except SpecError:
            return None

    def load(self, raw: Mapping[str, Any], d_in: int | None = None) -> None:
        """Fill the form from a spec or template; if that names no model or dataset, those in the form stay.

        Args:
            raw: a spec as JSON values.
            d_in: the width of its model. If given, numbers that follow from others (a warm-up of 1 % of the run) are
                left empty again, so that they go on following.
        """
        kept = {name: text for name, text in self._texts.items() if name in ("model", "dataset.source")}
        self._texts = kept
        raw = chosen_values(raw, d_in)
        for field, value in _flat(raw).items():
            self._texts[field] = _as_text(value)
        self.architecture = str(raw.get("architecture") or ARCHITECTURE_FIELD.default)
        layers, points = raw.get("layers"), raw.get("hook_points")
        self.layers = tuple(sorted(layers)) if layers else None
        self.hook_points = tuple(points) if points else default_hook_points(self.architecture)
        for name, value in (raw.get("hyperparameters") or {}).items():
            if name in HYPERPARAMETERS:
                self._texts[PREFIX + name] = "off" if value is None else HYPERPARAMETERS[name].show(value)

    def _choose_architecture(self, name: str) -> None:
        """Hook points that the user has not changed follow the architecture."""
        if self.hook_points == default_hook_points(self.architecture):
            self.hook_points = default_hook_points(name)
        self.architecture = name

    def _read(self) -> tuple[dict[str, Any], list[Problem]]:
        problems: list[Problem] = []
        raw: dict[str, Any] = {"model": self._texts.get("model", ""), "architecture": self.architecture}
        dataset: dict[str, Any] = {"source": self._texts.get("dataset.source", "")}
        for field in _TEXTS:
            text = self._texts.get(field, "").strip()
            if not text or field in ("model", "dataset.source"):
                continue
            value: Union[str, int, None] = text
            if field in _WHOLE:
                value = _whole(text)
                if value is None:
                    problems.append(_unreadable(field, f"{text} is not a whole number."))
                    continue
            if field.startswith("dataset."):
                dataset[field.removeprefix("dataset.")] = value
            else:
                raw[field] = value
        raw["dataset"] = dataset
        if self.layers:
            raw["layers"] = list(self.layers)
        elif self.layers is not None:
            problems.append(_unreadable("layers", "no layer is selected.", "Select one with space, or all with a."))
        raw["hook_points"] = list(self.hook_points)
        raw["hyperparameters"] = self._hyperparameters(problems)
        return raw, problems

    def _hyperparameters(self, problems: list[Problem]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        known = self.architecture if self.architecture in ARCHITECTURES else ARCHITECTURE_FIELD.default
        for row in for_architecture(known):
            text = self._texts.get(PREFIX + row.name, "")
            if not text:
                continue
            try:
                values[row.name] = row.parse(text)
            except InvalidInput as error:
                hint = f"Recommended: {row.range_text()}." if row.recommended else None
                message = error.message.removeprefix(f"{row.name}: ")
                problems.append(_unreadable(PREFIX + row.name, message, hint))
        return values


def _flat(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Model, dataset and run fields by their names in the form."""
    flat = {name: value for name, value in raw.items() if name in SPEC_FIELDS and name in _TEXTS}
    dataset = raw.get("dataset")
    if isinstance(dataset, Mapping):
        flat |= {f"dataset.{name}": value for name, value in dataset.items() if f"dataset.{name}" in _TEXTS}
    return flat


def _as_text(value: Any) -> str:
    return plain_number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _whole(text: str) -> int | None:
    try:
        return int(without_separators(text))
    except ValueError:
        return None


def _unreadable(field: str, message: str, suggestion: str | None = None) -> Problem:
    return Problem(field=field, message=message, suggestion=suggestion)
