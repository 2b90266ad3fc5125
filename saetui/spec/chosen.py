"""What somebody chose in a spec: the complete spec of a job without everything that the defaults would say again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import fields

from saetui.catalog.models import find_model
from saetui.errors import SaetuiError
from saetui.spec.hyperparameters import HYPERPARAMETERS, for_architecture, siblings
from saetui.spec.problems import SpecError, errors_of
from saetui.spec.settings import resolve
from saetui.spec.training_spec import DEFAULT_ARCHITECTURE, DatasetSpec, TrainingSpec, check_fields, parse_spec

_INDEPENDENT = ("device", "dtype", "seed")
"""Fields whose default does not depend on another one, as that of the hook points depends on the architecture."""
_DEFAULTS = {field.name: field.default for field in fields(TrainingSpec) if field.name in _INDEPENDENT}
_DATASET_DEFAULTS = {field.name: field.default for field in fields(DatasetSpec)}


def chosen_values(raw: Mapping[str, Any], d_in: int | None) -> dict[str, Any]:
    """A copy of a spec without values that are defaults, or that follow from its other values anyway.

    Whoever changes the copy then changes what follows too: the warm-up of 1 % of a run goes on being 1 % of it. Values that
    are wrong are kept.

    Args:
        raw: a spec as JSON values; any field may be missing.
        d_in: the width of its model; None where that is not known: then nothing that follows from it is left out.
    """
    kept = {name: value for name, value in raw.items() if value is not None and _DEFAULTS.get(name) != value}
    if isinstance(kept.get("dataset"), Mapping):
        kept["dataset"] = {
            name: value
            for name, value in kept["dataset"].items()
            if value is not None and _DATASET_DEFAULTS.get(name) != value
        }
    if isinstance(raw.get("hyperparameters"), Mapping):
        kept["hyperparameters"] = _chosen_hyperparameters(raw, d_in)
    return kept


def _chosen_hyperparameters(raw: Mapping[str, Any], d_in: int | None) -> dict[str, Any]:
    architecture = str(raw.get("architecture") or DEFAULT_ARCHITECTURE)
    values = {}
    for name, value in raw["hyperparameters"].items():
        row = HYPERPARAMETERS.get(name)
        if row is None or value != row.default_for(architecture):
            values[name] = value  # None too, where the default is a number: it is off
    if d_in is None:
        return values
    following = [
        row.name for row in for_architecture(architecture) if row.none_means and not siblings(row.name, architecture)
    ]
    independent = {name: value for name, value in values.items() if name not in following}
    derived = _derived({**raw, "hyperparameters": independent}, d_in)
    return {
        name: value
        for name, value in values.items()
        if name not in following or value is None or value != derived.get(name)
    }


def _derived(raw: Mapping[str, Any], d_in: int) -> Mapping[str, Any]:
    """The values that follow from a spec; none where it is wrong, or where its length depends on its text."""
    # A template may lack model and dataset: they change no number here.
    whole = {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, **raw}
    if errors_of(check_fields(whole)):
        return {}
    try:
        settings = resolve(parse_spec(whole)[0], d_in)
    except SpecError:
        return {}
    return {} if settings is None else settings.values


def width_of(raw: Mapping[str, Any]) -> int | None:
    """The width of the model of a spec; None where the model is not on this machine. Reads files."""
    model, revision = raw.get("model"), raw.get("revision")
    if not isinstance(model, str):
        return None
    try:
        return find_model(model, revision if isinstance(revision, str) else None).hidden_size
    except SaetuiError:
        return None
