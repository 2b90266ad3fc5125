"""Whether a spec can start on this machine: its fields, model, dataset and start, with every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from saetui.catalog.datasets import DatasetInfo, find_dataset
from saetui.catalog.models import ModelInfo, find_model, short_name
from saetui.catalog.starts import find_starts, latents_of
from saetui.errors import DatasetError, ModelError, SaetuiError
from saetui.formats.names import plain_name
from saetui.sources.dataset_files import EVERYTHING
from saetui.spec.architectures import default_hook_points
from saetui.spec.problems import Problem, SpecError, errors_of, warnings_of
from saetui.spec.settings import Settings, resolve, with_defaults
from saetui.spec.training_spec import CONTEXT_LIMITS, DEFAULT_CONTEXT, TrainingSpec, check_fields, parse_spec


@dataclass(frozen=True)
class CompleteSpec:
    """A spec that can start, with every default filled in.

    Attributes:
        settings: None where the length of the run depends on the dataset's tokens (num_epochs).
    """

    spec: TrainingSpec
    settings: Settings | None
    model: ModelInfo
    dataset: DatasetInfo
    warnings: tuple[Problem, ...]


def complete_spec(raw: Mapping[str, Any]) -> CompleteSpec:
    """Fill in what a spec leaves open: layers, name and every hyperparameter.

    Raises:
        SpecError: with every problem of fields, model, dataset and layers.
    """
    problems, model, dataset = _check(raw)
    if errors_of(problems):
        raise SpecError(errors_of(problems))
    assert model is not None
    assert dataset is not None
    spec, _ = parse_spec(raw)
    spec = msgspec.structs.replace(spec, layers=spec.layers or (model.middle_layer,))
    settings = resolve(spec, model.hidden_size)
    spec = msgspec.structs.replace(
        spec, name=spec.name or generated_job_name(spec), hyperparameters=_filled(spec, settings)
    )
    return CompleteSpec(spec, settings, model, dataset, tuple(warnings_of(problems)))


def check_everything(raw: Mapping[str, Any]) -> list[Problem]:
    """All errors and warnings of a spec, for a form. Reads files, so it must not run in an event loop."""
    return _check(raw)[0]


def generated_job_name(spec: TrainingSpec) -> str:
    """A name made of model, layers and architecture: `tiny-l2-topk`."""
    model = short_name(spec.model)
    layers = "-".join(f"l{layer}" for layer in spec.layers[:4]) + ("-more" if len(spec.layers) > 4 else "")
    points = [point for point in spec.hook_points if point not in default_hook_points(spec.architecture)]
    return plain_name("-".join([model[:30], layers, *points[:2], spec.architecture]))


def _check(raw: Mapping[str, Any]) -> tuple[list[Problem], ModelInfo | None, DatasetInfo | None]:
    problems = check_fields(raw)
    bad = {problem.field.partition(".")[0] for problem in errors_of(problems)}
    model = dataset = None
    if "model" not in bad and "revision" not in bad:
        try:
            model = find_model(raw["model"], raw.get("revision"))
        except ModelError as error:
            problems.append(_problem_of("model", error))
    if "dataset" not in bad:
        try:
            split = raw["dataset"].get("split") or EVERYTHING
            dataset = find_dataset(raw["dataset"]["source"], _context_length(raw), split)
        except DatasetError as error:
            problems.append(_problem_of("dataset.source", error))
    if model is not None:
        if "layers" not in bad:
            problems += _check_layers(raw.get("layers") or (), model)
        if "dataset" not in bad:
            problems += _check_context(_context_length(raw), model)
        if not errors_of(problems):
            problems += _check_together(raw, model)
        if raw.get("start_from") and not errors_of(problems):
            problems += _check_start(raw, model)
    return problems, model, dataset


def _check_layers(layers: object, model: ModelInfo) -> list[Problem]:
    assert isinstance(layers, (list, tuple))
    missing = ", ".join(str(layer) for layer in layers if layer >= model.num_layers)
    if not missing:
        return []
    message, suggestion = f"{model.reference} has no layer {missing}.", f"It has layers 0 to {model.num_layers - 1}."
    return [Problem(field="layers", message=message, suggestion=suggestion)]


def _check_context(context_length: int, model: ModelInfo) -> list[Problem]:
    if model.context_limit is None or context_length <= model.context_limit:
        return []
    message = f"{context_length} is more than {model.reference} can read at once."
    suggestion = f"Its limit is {model.context_limit}."
    return [Problem(field="dataset.context_length", message=message, suggestion=suggestion)]


def _check_together(raw: Mapping[str, Any], model: ModelInfo) -> list[Problem]:
    spec, _ = parse_spec(raw)
    try:
        resolve(spec, model.hidden_size)
    except SpecError as error:
        return list(error.problems)
    return []


def _check_start(raw: Mapping[str, Any], model: ModelInfo) -> list[Problem]:
    """Every site needs an SAE of the right size to start from."""
    spec, _ = parse_spec(raw)
    start = spec.start_from
    assert start is not None
    spec = msgspec.structs.replace(spec, layers=spec.layers or (model.middle_layer,))
    settings = resolve(spec, model.hidden_size)
    try:
        sizes = {site: latents_of(path) for site, path in find_starts(start, spec.sites).items()}
    except SaetuiError as error:
        return [_problem_of("start_from", error)]
    if settings is None:
        return []
    return [
        Problem(
            field="start_from",
            message=f"has {size} latents at {site}; the training has {settings.latents}.",
            suggestion=f"Set latent_dim to {size}.",
        )
        for site, size in sizes.items()
        if size is not None and size != settings.latents
    ]


def _context_length(raw: Mapping[str, Any]) -> int:
    length: int = raw["dataset"].get("context_length", DEFAULT_CONTEXT)
    return max(CONTEXT_LIMITS[0], length)


def _filled(spec: TrainingSpec, settings: Settings | None) -> dict[str, Any]:
    """Every default, with a number in place of None wherever it is known (warm-up, windows)."""
    known = {} if settings is None else settings.values
    return {name: known.get(name) if value is None else value for name, value in with_defaults(spec).items()}


def _problem_of(field: str, error: SaetuiError) -> Problem:
    return Problem(field=field, message=error.message, suggestion=error.suggestion, kind=error.kind)
