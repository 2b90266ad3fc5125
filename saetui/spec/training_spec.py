"""The training spec: what a job is asked to do, and the check of its fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Union

import msgspec

from saetui.formats.names import site_name
from saetui.sources.dataset_files import EVERYTHING
from saetui.spec import field_checks as check
from saetui.spec.architectures import ARCHITECTURES, allowed_hook_points, default_hook_points
from saetui.spec.field_checks import HOW_TO_GIVE, Check, shown, unknown_fields, wrong
from saetui.spec.hyperparameter import Hyperparameter, Value
from saetui.spec.hyperparameters import HYPERPARAMETERS, complete, linked_problem, without_effect
from saetui.spec.problems import Problem, Severity, SpecError, errors_of, nearest, warnings_of

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEFAULT_ARCHITECTURE = "topk"
SOURCE_DATASET = "bundled:stdlib"
CONTEXT_LIMITS = (2, 1_048_576)
DEFAULT_CONTEXT = 128


class DatasetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a job. `context_length`: tokens in one context."""

    source: str
    split: str = EVERYTHING
    text_field: str = "text"
    context_length: int = DEFAULT_CONTEXT


class TrainingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A spec in which each field is sound by itself; the machine has not been asked yet.

    A transcoder has one hook point, `mlp_in`, which names its sites; it predicts `mlp_out` of the same layer.
    `start_from`: the directory or the name of an SAE whose weights the training starts from; None: from scratch.
    """

    model: str
    dataset: DatasetSpec
    name: Union[str, None] = None
    revision: Union[str, None] = None
    layers: tuple[int, ...] = ()
    hook_points: tuple[str, ...] = ("resid_post",)
    architecture: str = DEFAULT_ARCHITECTURE
    hyperparameters: dict[str, Value] = {}
    device: str = "auto"
    dtype: str = "auto"
    seed: int = 0
    start_from: Union[str, None] = None

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the sites, layer × hook point; each gets one SAE."""
        return tuple(site_name(layer, point) for layer in self.layers for point in self.hook_points)


SPEC_FIELDS = TrainingSpec.__struct_fields__
DATASET_FIELDS = DatasetSpec.__struct_fields__

_ELSEWHERE = {
    **dict.fromkeys(HYPERPARAMETERS, "It is a hyperparameter: put it inside hyperparameters."),
    **dict.fromkeys(DATASET_FIELDS, "It belongs inside dataset."),
}


def spec_json(spec: TrainingSpec) -> dict[str, Any]:
    """The spec as plain JSON values."""
    built: dict[str, Any] = msgspec.to_builtins(spec)
    return built


def parse_spec(raw: Mapping[str, Any]) -> tuple[TrainingSpec, list[Problem]]:
    """The spec and its warnings.

    Raises:
        SpecError: with every problem of every field.
    """
    problems = check_fields(raw)
    if errors_of(problems):
        raise SpecError(errors_of(problems))
    values = {name: value for name, value in raw.items() if value is not None}
    given = values.get("hyperparameters", {})
    values["hyperparameters"] = {name: HYPERPARAMETERS[name].normal(value) for name, value in given.items()}
    values.setdefault("hook_points", default_hook_points(values.get("architecture", DEFAULT_ARCHITECTURE)))
    return msgspec.convert(values, TrainingSpec), warnings_of(problems)


def check_fields(raw: Mapping[str, Any], *, partial: bool = False) -> list[Problem]:
    """Everything that is wrong with the fields of a spec, without asking the machine.

    `partial`: any field may be missing, as in a template.
    """
    problems = unknown_fields(raw, SPEC_FIELDS, elsewhere=_ELSEWHERE)
    for name, check_field in _CHECKS.items():
        if raw.get(name) is not None:
            problems += check_field(name, raw[name])
        elif not partial and name in ("model", "dataset"):
            problems.append(Problem(field=name, message="is missing.", suggestion=HOW_TO_GIVE[name]))
    dataset = raw.get("dataset")
    if isinstance(dataset, Mapping) and not partial and "source" not in dataset:
        problems.append(Problem(field="dataset.source", message="is missing.", suggestion=HOW_TO_GIVE["dataset"]))
    architecture = raw.get("architecture") or (DEFAULT_ARCHITECTURE if not partial else None)
    known = architecture if architecture in ARCHITECTURES else None
    if raw.get("hyperparameters") is not None:
        problems += check_hyperparameters(raw["hyperparameters"], known)
    if known is not None and not any(problem.field == "hook_points" for problem in problems):
        problems += _check_readable(raw.get("hook_points") or (), known)
    return problems


def check_hyperparameters(values: object, architecture: str | None) -> list[Problem]:
    """Everything that is wrong with the hyperparameters. An architecture, where it is known, refuses those of others."""
    if not isinstance(values, Mapping):
        return [wrong("hyperparameters", values, "must be an object of names and values.")]
    problems = unknown_fields(values, HYPERPARAMETERS, prefix="hyperparameters.")
    used: dict[str, Any] = {}
    for name, value in values.items():
        row = HYPERPARAMETERS.get(name)
        if row is None:
            continue
        if architecture is None or architecture in row.architectures:
            used[name] = value
            problems += _check_value(row, value)
        elif value is not None:
            message = f"is not used by {architecture}, only by {_listed(row.architectures)}."
            problems.append(_about(name, message, "Remove it, or choose another architecture."))
    if architecture is None:
        # A template without an architecture may hold what any architecture uses, so also both k and l1_alpha.
        linked = linked_problem({name: value for name, value in used.items() if name != "l1_alpha"})
    else:
        linked = linked_problem(used)
    problems += [_about(name, message, "Set one of them.") for name, message in linked]
    if architecture is not None and not errors_of(problems):
        problems += [
            _about(name, f"changes nothing here: it matters {when}.", severity=Severity.WARNING)
            for name, when in without_effect(architecture, complete(architecture, used)).items()
            if used.get(name) is not None
        ]
    return problems


def _check_readable(points: Iterable[str], architecture: str) -> list[Problem]:
    """The hook points of a transcoder follow from the architecture."""
    if set(points) <= set(allowed_hook_points(architecture)):
        return []
    message = f"is not possible: a {architecture} reads mlp_in and predicts mlp_out."
    return [wrong("hook_points", list(points), message, 'Leave hook_points out, or set it to ["mlp_in"].')]


def _about(name: str, message: str, suggestion: str | None = None, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(field=f"hyperparameters.{name}", message=message, suggestion=suggestion, severity=severity)


def _listed(names: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _check_value(row: Hyperparameter, value: object) -> list[Problem]:
    reason = row.check(value)
    if reason:
        recommended = f"Recommended: {row.range_text()}." if row.range_text() and not row.choices else None
        return [_about(row.name, f"{shown(value)} {reason}.", nearest(value, row.choices) or recommended)]
    sound = row.normal(value)  # type: ignore[arg-type]  # `check` has tested its type
    if row.outside_recommended(sound):
        message = f"{row.show(sound)} is outside the recommended range of {row.range_text()}."
        return [_about(row.name, message, severity=Severity.WARNING)]
    return []


def _check_dataset(field: str, value: object) -> list[Problem]:
    if not isinstance(value, Mapping):
        return [wrong(field, value, "must be an object with a source.", HOW_TO_GIVE[field])]
    problems = unknown_fields(value, DATASET_FIELDS, prefix=f"{field}.")
    for name in ("source", "split", "text_field"):
        if name in value:
            problems += check.text(f"{field}.{name}", value[name])
    if "context_length" in value:
        problems += check.whole(*CONTEXT_LIMITS)(f"{field}.context_length", value["context_length"])
    return problems


_CHECKS: dict[str, Check] = {
    "name": check.name,
    "model": check.text,
    "revision": check.text,
    "dataset": _check_dataset,
    "layers": check.layers,
    "hook_points": check.hook_points,
    "architecture": check.choice(ARCHITECTURES),
    "device": check.device,
    "dtype": check.choice(DTYPES),
    "seed": check.whole(0, 2**63 - 1),
    "start_from": check.text,
}
