"""The training spec: what a job is asked to do, and every way in which its fields can be wrong."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Union

import msgspec

from saetui.formats.names import NAME_RULE, is_name
from saetui.formats.paths import shortened, why_no_path
from saetui.spec.architectures import ARCHITECTURES, HOOK_POINTS, allowed_hook_points, default_hook_points
from saetui.spec.hyperparameters import (
    HYPERPARAMETERS,
    Hyperparameter,
    Value,
    complete,
    linked_problem,
    without_effect,
)
from saetui.spec.problems import Problem, Severity, SpecError, errors_of, warnings_of

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEFAULT_ARCHITECTURE = "topk"
SOURCE_DATASET = "bundled:stdlib"
CONTEXT_LIMITS = (2, 1_048_576)
LAYER_LIMIT = 1000

MOST_UNKNOWN = 20
"""Unknown fields that are told one by one: a guess at what was meant takes a millisecond each."""

LONGEST_GUESS = 100
"""Letters of a value by which something like it is looked for."""


class DatasetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a job. `context_length`: tokens in one context."""

    source: str
    split: str = "train"
    text_field: str = "text"
    context_length: int = 128


class TrainingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A spec whose every field is sound in itself (the world has not been asked yet).

    A transcoder has one hook point, `mlp_in`, after which its sites are named; it predicts `mlp_out` of the same layer.
    `start_from`: a directory or the name of an imported SAE whose weights the training goes on from; None: from scratch.
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
        """One SAE each: layer × hook point."""
        return tuple(f"layer_{layer}.{point}" for layer in self.layers for point in self.hook_points)


SPEC_FIELDS = TrainingSpec.__struct_fields__
DATASET_FIELDS = DatasetSpec.__struct_fields__


def spec_json(spec: TrainingSpec) -> dict[str, Any]:
    """The spec as plain JSON values."""
    built: dict[str, Any] = msgspec.to_builtins(spec)
    return built


def parse_spec(raw: Mapping[str, Any]) -> tuple[TrainingSpec, list[Problem]]:
    """The spec, and its warnings.

    Raises:
        SpecError: with every problem of every field at once.
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
    """Everything that is wrong with a spec's fields, without looking at the machine.

    Args:
        raw: the spec as JSON values.
        partial: any field may be missing, as in a template.
    """
    problems = _unknown_all(raw, SPEC_FIELDS)
    for name, check in _CHECKS.items():
        if raw.get(name) is not None:
            problems += check(raw[name])
        elif not partial and name in ("model", "dataset"):
            problems.append(Problem(field=name, message="is missing.", suggestion=_HOW_TO_GIVE[name]))
    dataset = raw.get("dataset")
    if isinstance(dataset, Mapping) and not partial and "source" not in dataset:
        problems.append(Problem(field="dataset.source", message="is missing.", suggestion=_HOW_TO_GIVE["dataset"]))
    architecture = raw.get("architecture") or (DEFAULT_ARCHITECTURE if not partial else None)
    known = architecture if architecture in ARCHITECTURES else None
    if raw.get("hyperparameters") is not None:
        problems += check_hyperparameters(raw["hyperparameters"], known)
    if known is not None and raw.get("hook_points") and not any(problem.field == "hook_points" for problem in problems):
        problems += _check_readable(raw["hook_points"], known)
    return problems


def check_hyperparameters(values: object, architecture: str | None) -> list[Problem]:
    """Everything wrong with the hyperparameters; what an architecture does not use is refused where one is known."""
    if not isinstance(values, Mapping):
        return [_wrong("hyperparameters", values, "must be an object of names and values.")]
    problems = _unknown_all(values, HYPERPARAMETERS, prefix="hyperparameters.")
    for name, value in values.items():
        row = HYPERPARAMETERS.get(name)
        if row is None:
            continue
        if architecture is not None and architecture not in row.architectures:
            if value is not None:
                users = _listed(row.architectures)
                problems.append(
                    Problem(
                        field=f"hyperparameters.{name}",
                        message=f"is not used by {architecture}, only by {users}.",
                        suggestion="Remove it, or choose another architecture.",
                    )
                )
        else:
            problems += _check_value(row, value)
    # A template without an architecture may hold what any of them uses, so also both ways to sparse codes.
    used = {name: value for name, value in values.items() if architecture in _users(name) or architecture is None}
    if architecture is None:
        used.pop("l1_alpha", None)
    problems += [
        Problem(field=f"hyperparameters.{name}", message=message, suggestion="Set one of them.")
        for name, message in linked_problem(used)
    ]
    if architecture is not None and not errors_of(problems):
        idle = without_effect(architecture, complete(architecture, used))
        problems += [
            Problem(
                field=f"hyperparameters.{name}",
                message=f"changes nothing here: it matters {when}.",
                severity=Severity.WARNING,
            )
            for name, when in idle.items()
            if used.get(name) is not None
        ]
    return problems


def _listed(names: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _users(name: str) -> tuple[str, ...]:
    row = HYPERPARAMETERS.get(name)
    return () if row is None else row.architectures


def _check_value(row: Hyperparameter, value: object) -> list[Problem]:
    field = f"hyperparameters.{row.name}"
    wrong = row.check(value)
    if wrong:
        hint = f"Recommended: {row.range_text()}." if row.range_text() else None
        return [Problem(field=field, message=f"{_shown(value)} {wrong}.", suggestion=hint)]
    sound = row.normal(value)  # type: ignore[arg-type]  # check has seen its type
    if row.outside_recommended(sound):
        return [
            Problem(
                field=field,
                message=f"{row.show(sound)} is outside the recommended range of {row.range_text()}.",
                severity=Severity.WARNING,
            )
        ]
    return []


def _check_name(value: object) -> list[Problem]:
    if isinstance(value, str) and is_name(value):
        return []
    return [_wrong("name", value, "is not a name.", f"A name is {NAME_RULE}; or leave it out.")]


def _check_text(field: str) -> Any:
    def check(value: object) -> list[Problem]:
        if not isinstance(value, str) or not value.strip():
            return [_wrong(field, value, "must be a text.", _HOW_TO_GIVE.get(field))]
        # They become paths, parts of paths or columns of files: what no path can be is none of these either.
        reason = why_no_path(value)
        return [] if reason is None else [Problem(field=field, message=reason, suggestion=_HOW_TO_GIVE.get(field))]

    return check


def _check_choice(field: str, choices: tuple[str, ...]) -> Any:
    def check(value: object) -> list[Problem]:
        if value in choices:
            return []
        return [_wrong(field, value, f"must be one of {', '.join(choices)}.", _nearest(value, choices))]

    return check


def _check_dataset(value: object) -> list[Problem]:
    if not isinstance(value, Mapping):
        return [_wrong("dataset", value, "must be an object with a source.", _HOW_TO_GIVE["dataset"])]
    problems = _unknown_all(value, DATASET_FIELDS, prefix="dataset.")
    for name in ("source", "split", "text_field"):
        if name in value:
            problems += _check_text(f"dataset.{name}")(value[name])
    if "context_length" in value:
        problems += _check_whole("dataset.context_length", value["context_length"], *CONTEXT_LIMITS)
    return problems


def _check_layers(value: object) -> list[Problem]:
    if not isinstance(value, (list, tuple)):
        return [_wrong("layers", value, "must be a list of layer numbers.", "For example [2] or [1, 2].")]
    problems = [problem for layer in value for problem in _check_whole("layers", layer, 0, LAYER_LIMIT)]
    if not problems and len(set(value)) < len(value):
        problems.append(_wrong("layers", value, "names a layer twice.", "Name each layer once."))
    return problems


def _check_hook_points(value: object) -> list[Problem]:
    if not isinstance(value, (list, tuple)) or not value:
        return [
            _wrong("hook_points", value, "must be a list of hook points.", f"Choose from {', '.join(HOOK_POINTS)}.")
        ]
    problems = [problem for point in value for problem in _check_hook_point(point)]
    if not problems and len(set(value)) < len(value):
        problems.append(_wrong("hook_points", value, "names a hook point twice.", "Name each once."))
    return problems


def _check_hook_point(value: object) -> list[Problem]:
    meaning, nearest = _NOT_OFFERED.get(str(value), (None, None))
    if meaning is not None:
        return [_wrong("hook_points", value, f"is {meaning}, which is not offered.", nearest)]
    found: list[Problem] = _check_choice("hook_points", HOOK_POINTS)(value)
    return found


def _check_readable(points: Iterable[str], architecture: str) -> list[Problem]:
    """A transcoder's input and target are given by what it is."""
    if set(points) <= set(allowed_hook_points(architecture)):
        return []
    return [
        Problem(
            field="hook_points",
            message=f"{_shown(list(points))} is not possible: a {architecture} reads mlp_in and predicts mlp_out.",
            suggestion='Leave hook_points out, or set it to ["mlp_in"].',
        )
    ]


def _check_device(value: object) -> list[Problem]:
    if isinstance(value, str) and (value in ("auto", "cpu", "cuda") or value.removeprefix("cuda:").isdigit()):
        return []
    return [_wrong("device", value, "must be auto, cpu, cuda or cuda:N.")]


def _check_whole(field: str, value: object, low: int, high: int) -> list[Problem]:
    if isinstance(value, bool) or not isinstance(value, int):
        return [_wrong(field, value, "must be a whole number.")]
    if not low <= value <= high:
        return [_wrong(field, value, f"must be from {low} to {high}.")]
    return []


def _wrong(field: str, value: object, message: str, suggestion: str | None = None) -> Problem:
    return Problem(field=field, message=f"{_shown(value)} {message}", suggestion=suggestion)


def _unknown_all(given: Mapping[str, Any], known: Collection[str], prefix: str = "") -> list[Problem]:
    """A problem for each unknown field; of very many the first, and how many more there are."""
    names = [name for name in given if name not in known]
    problems = [_unknown(name, known, prefix) for name in names[:MOST_UNKNOWN]]
    if len(names) > MOST_UNKNOWN:
        message = f"holds {len(names) - MOST_UNKNOWN} more fields that are not known."
        problems.append(
            Problem(field=prefix.rstrip(".") or "spec", message=message, suggestion="Is it the right file?")
        )
    return problems


def _unknown(name: str, known: Iterable[str], prefix: str = "") -> Problem:
    known = tuple(known)
    if not prefix and name in HYPERPARAMETERS:
        suggestion = "It is a hyperparameter: put it inside hyperparameters."
    elif not prefix and name in DATASET_FIELDS:
        suggestion = "It belongs inside dataset."
    else:
        suggestion = _nearest(name, known) or f"Known: {', '.join(known)}."
    return Problem(field=f"{prefix}{shortened(name)}", message="is not a known field.", suggestion=suggestion)


def _nearest(value: object, choices: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(str(value)[:LONGEST_GUESS], list(choices), n=1)
    return f"Did you mean {near[0]}?" if near else None


def _shown(value: object) -> str:
    """A value as JSON, short enough for a line."""
    if value is None:
        return "an empty value"
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


_HOW_TO_GIVE = {
    "model": "Give bundled:tiny, a directory, or the id of a model in the local Hub cache.",
    "dataset": 'Give an object with a source: bundled:stdlib, a file or a directory, e.g. {"source": "bundled:stdlib"}.',
    "dataset.source": "Give bundled:stdlib, a file or a directory.",
}

_MID = (
    "the residual stream between attention and MLP",
    "The nearest are mlp_in, the same behind the norm before the MLP, and attn_out, what the attention adds to the stream.",
)
_HEADS = ("what the attention's heads give before they are added up", "The nearest is attn_out, what they add up to.")
_NOT_OFFERED: dict[str, tuple[str, str]] = {
    "resid_mid": _MID,
    "hook_resid_mid": _MID,
    "hook_mlp_in": _MID,
    "z": _HEADS,
    "hook_z": _HEADS,
    "attn.hook_z": _HEADS,
}
"""Places that others offer, whose names are like those of other tensors here: what each is, and what is nearest."""

_CHECKS: dict[str, Any] = {
    "name": _check_name,
    "model": _check_text("model"),
    "revision": _check_text("revision"),
    "dataset": _check_dataset,
    "layers": _check_layers,
    "hook_points": _check_hook_points,
    "architecture": _check_choice("architecture", ARCHITECTURES),
    "device": _check_device,
    "dtype": _check_choice("dtype", DTYPES),
    "seed": lambda value: _check_whole("seed", value, 0, 2**63 - 1),
    "start_from": _check_text("start_from"),
}
