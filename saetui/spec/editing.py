"""Changing a spec from outside: from a file, from `-o KEY=VALUE`, and making its paths absolute."""

from __future__ import annotations

import codecs
import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from saetui.errors import InvalidInput
from saetui.formats.paths import why_no_path
from saetui.formats.regular import read_regular
from saetui.spec.hyperparameters import HYPERPARAMETERS, siblings
from saetui.spec.problems import Problem, SpecError
from saetui.spec.training_spec import DATASET_FIELDS, SPEC_FIELDS

FILE_LIMIT = 1 << 20
"""Bytes that a spec or template file may have: 1 MiB."""


def load_spec_file(path: Path) -> dict[str, Any]:
    """Read a spec from a JSON file; its relative paths count from the current directory.

    Raises:
        InvalidInput: the file cannot be read, is too long, is not JSON, or is not an object.
    """
    reason = why_no_path(str(path))
    if reason is not None:
        raise InvalidInput(reason, "Give the path of a spec in JSON.")
    try:
        data = read_regular(path, FILE_LIMIT)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", "Give the path of a spec in JSON.") from error
    try:
        raw = msgspec.json.decode(decode_text(data, path, "start from `saetui templates show`"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(
            f"{path} is not JSON: {error}.", "Correct it there, or start from `saetui templates show`."
        ) from error
    if not isinstance(raw, dict):
        raise InvalidInput(f"{path} holds no object.", 'A spec looks like {"model": "bundled:tiny", …}.')
    return raw


def decode_text(data: bytes, path: Path, or_else: str) -> str:
    """The text of a file in UTF-8, with or without the byte order mark that editors on Windows put before it.

    Args:
        data: the file's content.
        path: of the file, for errors.
        or_else: what else the user can do, after "or".

    Raises:
        InvalidInput: it is text in UTF-16, or no text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidInput(f"{path} is text in UTF-16.", f"Save it as UTF-8, or {or_else}.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not text in UTF-8 (byte {error.start}).", f"Save it as UTF-8, or {or_else}."
        ) from error


def apply_overrides(raw: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of a spec with `KEY=VALUE` set in it, KEY a spec field, a field of `dataset` or a hyperparameter.

    Setting one of several linked hyperparameters drops the others.

    Raises:
        SpecError: every assignment that is not understood.
    """
    changed = copy.deepcopy(dict(raw))
    problems: list[Problem] = []
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip().removeprefix("hyperparameters.")
        if not equals:
            problems.append(
                Problem(field=assignment, message="has no value.", suggestion="Write -o KEY=VALUE, e.g. -o k=16.")
            )
            continue
        try:
            _assign(changed, key, text.strip())
        except InvalidInput as error:
            message = error.message.removeprefix(f"{key}: ")
            problems.append(Problem(field=key, message=message, suggestion=error.suggestion))
    if problems:
        raise SpecError(problems)
    return changed


def absolute_paths(raw: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """A copy whose model, dataset and start, where they are paths, are absolute: the supervisor lives elsewhere."""
    changed = copy.deepcopy(dict(raw))
    for field in ("model", "start_from"):
        if isinstance(changed.get(field), str):
            changed[field] = absolute_reference(changed[field], base)
    dataset = changed.get("dataset")
    if isinstance(dataset, dict) and isinstance(dataset.get("source"), str):
        dataset["source"] = absolute_reference(dataset["source"], base)
    return changed


def absolute_reference(reference: str, base: Path) -> str:
    """A path made absolute; `bundled:…` and Hub ids (which are no path here) as they are."""
    if reference.startswith("bundled:") or not reference.strip():
        return reference
    if why_no_path(reference) is not None:
        # Told by the check of the spec, which names the field.
        return reference
    path = base / Path(reference).expanduser()
    looks_like_path = reference.startswith((".", "/", "~")) or path.exists()
    return str(path.resolve()) if looks_like_path else reference


def set_hyperparameter(values: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy of the hyperparameters with one set and its linked ones dropped."""
    changed = {key: old for key, old in values.items() if key not in siblings(name)}
    changed[name] = value
    return changed


def _assign(spec: dict[str, Any], key: str, text: str) -> None:
    dataset_key = key.removeprefix("dataset.")
    if key in HYPERPARAMETERS:
        given = spec.get("hyperparameters")
        value = HYPERPARAMETERS[key].parse(text)
        spec["hyperparameters"] = set_hyperparameter(given if isinstance(given, dict) else {}, key, value)
    elif key == "dataset" or dataset_key in DATASET_FIELDS:
        given = spec.get("dataset")
        dataset = dict(given) if isinstance(given, dict) else {}
        name = "source" if key == "dataset" else dataset_key
        dataset[name] = _whole(key, text) if name == "context_length" else text
        spec["dataset"] = dataset
    elif key in ("layers", "hook_points"):
        parts = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
        spec[key] = [_whole(key, part) for part in parts] if key == "layers" else parts
    elif key == "seed":
        spec[key] = _whole(key, text)
    elif key in SPEC_FIELDS and key != "hyperparameters":
        spec[key] = text or None
    else:
        raise InvalidInput("is not a field or a hyperparameter.", f"Hyperparameters: {', '.join(HYPERPARAMETERS)}.")


def _whole(key: str, text: str) -> int:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise InvalidInput(f"{text or 'an empty value'} must be a whole number.") from None
