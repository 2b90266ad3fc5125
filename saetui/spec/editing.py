"""Reading a spec from a file, changing it with `-o KEY=VALUE`, and making its paths absolute."""

from __future__ import annotations

import codecs
import copy
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from saetui.display.figures import size
from saetui.errors import InvalidInput
from saetui.formats.paths import why_no_path, why_unreachable
from saetui.formats.regular import read_regular
from saetui.spec.field_checks import LAYER_LIMIT
from saetui.spec.hyperparameter import without_separators
from saetui.spec.hyperparameters import HYPERPARAMETERS, siblings
from saetui.spec.problems import Problem, SpecError, nearest
from saetui.spec.training_spec import DATASET_FIELDS, SPEC_FIELDS

FILE_LIMIT = 1 << 20
"""The most bytes of a spec or template file: 1 MiB."""


def load_spec_file(path: Path) -> dict[str, Any]:
    """Read a spec from a JSON file; from standard input where the path is `-`.

    Raises:
        InvalidInput: the file cannot be read, is too long, or does not hold a JSON object.
    """
    or_else = "start from `saetui templates show`"
    name = "Standard input" if str(path) == "-" else str(path)
    try:
        raw = msgspec.json.decode(read_text(path, "Give the path of a spec in JSON.", or_else))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"{name} is not JSON: {error}.", f"Correct it, or {or_else}.") from error
    if not isinstance(raw, dict):
        raise InvalidInput(f"{name} does not hold a JSON object.", 'A spec looks like {"model": "bundled:tiny", …}.')
    return raw


def read_text(path: Path, way_out: str, or_else: str) -> str:
    """Read a user's file in UTF-8, with or without the byte order mark that editors on Windows write.

    Args:
        way_out: what to do if it cannot be read.
        or_else: what to do if it is not UTF-8, other than save it so; follows "or" in a sentence.

    Raises:
        InvalidInput: the file cannot be read, is too long, or is not UTF-8.
    """
    if str(path) == "-":
        data = sys.stdin.buffer.read(FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            raise InvalidInput(f"Standard input has more than {size(FILE_LIMIT)}.", way_out)
    else:
        data = _content(path, way_out)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidInput(f"{path} is text in UTF-16.", f"Save it as UTF-8, or {or_else}.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not text in UTF-8 (byte {error.start})."
        raise InvalidInput(message, f"Save it as UTF-8, or {or_else}.") from error


def _content(path: Path, way_out: str) -> bytes:
    reason = why_no_path(str(path))
    if reason is not None:
        raise InvalidInput(reason, way_out)
    try:
        return read_regular(path, FILE_LIMIT)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", way_out) from error


def apply_overrides(raw: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of a spec with each `KEY=VALUE` set. KEY is a field of the spec or of `dataset`, or a hyperparameter.

    A hyperparameter replaces those that are linked to it, and `null` leaves it out.

    Raises:
        SpecError: with every assignment that cannot be read.
    """
    changed = copy.deepcopy(dict(raw))
    problems: list[Problem] = []
    given: list[str] = []
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip().removeprefix("hyperparameters.")
        if not equals:
            problems.append(
                Problem(field=assignment, message="has no value.", suggestion="Write -o KEY=VALUE, e.g. -o k=16.")
            )
            continue
        twice = next((other for other in given if other == key or other in siblings(key)), None)
        if twice is not None:
            message = "is given twice." if twice == key else f"excludes {twice}, which is given too."
            problems.append(Problem(field=key, message=message, suggestion="Give one of them."))
            continue
        given.append(key)
        try:
            _assign(changed, key, text.strip())
        except InvalidInput as error:
            message = error.message.removeprefix(f"{key}: ")
            problems.append(Problem(field=key, message=message, suggestion=error.suggestion))
    if problems:
        raise SpecError(problems)
    return changed


def absolute_paths(raw: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """A copy with absolute paths of model, dataset and start: the supervisor has another working directory."""
    changed = copy.deepcopy(dict(raw))
    for field in ("model", "start_from"):
        if isinstance(changed.get(field), str):
            changed[field] = absolute_reference(changed[field], base)
    dataset = changed.get("dataset")
    if isinstance(dataset, dict) and isinstance(dataset.get("source"), str):
        dataset["source"] = absolute_reference(dataset["source"], base)
    return changed


def absolute_reference(reference: str, base: Path) -> str:
    """A path made absolute; `bundled:…` and the ids of the Hub unchanged."""
    # The check of the spec reports what cannot be a path, with the field's name.
    if reference.startswith("bundled:") or not reference.strip() or why_no_path(reference) is not None:
        return reference
    path = base / Path(reference).expanduser()
    looks_like_path = reference.startswith((".", "/", "~")) or (why_unreachable(path) is None and path.exists())
    return str(path.resolve()) if looks_like_path else reference


def set_hyperparameter(values: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy of the hyperparameters with one set, without those that are linked to it."""
    changed = {key: old for key, old in values.items() if key not in siblings(name)}
    changed[name] = value
    return changed


def read_layers(text: str) -> list[int]:
    """The layers that a text names: numbers and ranges, `2`, `0-11`, `0-23:4` (every fourth), with commas between them.

    Raises:
        InvalidInput: a part is neither, or the layers are more than any model has.
    """
    layers: list[int] = []
    for part in _parts(text):
        span, colon, step = part.partition(":")
        first, dash, last = span.partition("-")
        start = _whole("layers", first.strip())
        end = _whole("layers", last.strip()) if dash else start
        by = _whole("layers", step.strip()) if colon else 1
        if end < start or by < 1 or (colon and not dash):
            raise InvalidInput(f"layers: {part} is no range.", "Write 0-11, or 0-23:4 for every fourth.")
        if end > LAYER_LIMIT:
            raise InvalidInput(f"layers: {part} goes beyond {LAYER_LIMIT}.", "Name layers that the model has.")
        layers += range(start, end + 1, by)
    return list(dict.fromkeys(layers))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.strip("[]").split(",") if part.strip()]


def _assign(spec: dict[str, Any], key: str, text: str) -> None:
    dataset_key = key.removeprefix("dataset.")
    if key in HYPERPARAMETERS:
        given = spec.get("hyperparameters")
        values, row = given if isinstance(given, dict) else {}, HYPERPARAMETERS[key]
        if text == "null" and not row.accepts_none:
            spec["hyperparameters"] = {name: value for name, value in values.items() if name != key}
        else:
            spec["hyperparameters"] = set_hyperparameter(values, key, row.parse(text))
    elif key == "dataset" or dataset_key in DATASET_FIELDS:
        given = spec.get("dataset")
        dataset = dict(given) if isinstance(given, dict) else {}
        name = "source" if key == "dataset" else dataset_key
        dataset[name] = _whole(key, text) if name == "context_length" else text
        spec["dataset"] = dataset
    elif key in ("layers", "hook_points"):
        spec[key] = read_layers(text) if key == "layers" else _parts(text)
    elif key == "seed":
        spec[key] = _whole(key, text)
    elif key in SPEC_FIELDS and key != "hyperparameters":
        spec[key] = text or None
    else:
        known = (*HYPERPARAMETERS, *SPEC_FIELDS, *DATASET_FIELDS)
        way_out = nearest(key, known) or "`saetui help training` and `saetui help architectures` name them."
        raise InvalidInput("is not a field or a hyperparameter.", way_out)


def _whole(key: str, text: str) -> int:
    try:
        return int(without_separators(text))
    except ValueError:
        raise InvalidInput(f"{text or 'an empty value'} must be a whole number.") from None
