"""Checks of single fields of a spec: each returns what is wrong with a value, without asking the machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from saetui.formats.names import NAME_RULE, is_name
from saetui.formats.paths import shortened, why_no_path
from saetui.spec.architectures import HOOK_POINTS
from saetui.spec.problems import Problem, nearest

LAYER_LIMIT = 1000

MOST_UNKNOWN = 20
"""Unknown fields that are reported one by one: the search for a similar name takes a millisecond each."""

Check = Callable[[str, object], list[Problem]]
"""Takes the field's name and its value."""

HOW_TO_GIVE = {
    "model": "Give bundled:tiny, a directory, or the id of a model in the local Hub cache.",
    "dataset": 'Give an object with a source: bundled:stdlib, a file or a directory, e.g. {"source": "bundled:stdlib"}.',
    "dataset.source": "Give bundled:stdlib, a file or a directory.",
}

_MID = (
    "the residual stream between attention and MLP",
    "The nearest are mlp_in, the same after the norm before the MLP, and attn_out, what the attention adds to the stream.",
)
_HEADS = ("what the attention's heads give before they are added up", "The nearest is attn_out, their sum.")
_NOT_OFFERED = {
    "resid_mid": _MID,
    "hook_resid_mid": _MID,
    "hook_mlp_in": _MID,
    "z": _HEADS,
    "hook_z": _HEADS,
    "attn.hook_z": _HEADS,
}
"""Hook points of other libraries that saetui lacks: what each one is, and which of saetui's is nearest."""


def wrong(field: str, value: object, message: str, suggestion: str | None = None) -> Problem:
    """A problem whose message begins with the value."""
    return Problem(field=field, message=f"{shown(value)} {message}", suggestion=suggestion)


def shown(value: object) -> str:
    """A value as JSON, short enough for one line."""
    if value is None:
        return "an empty value"
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def unknown_fields(
    given: Mapping[str, Any], known: Collection[str], prefix: str = "", elsewhere: Mapping[str, str] | None = None
) -> list[Problem]:
    """A problem for each unknown field; of very many, the first ones and the number of the others.

    Args:
        given, known: the fields with their values; the allowed names.
        prefix: of the names in the problems, e.g. `dataset.`.
        elsewhere: for names that belong to another part of the spec, where to put them.
    """
    unknown = [name for name in given if name not in known]
    problems = []
    for name in unknown[:MOST_UNKNOWN]:
        suggestion = (elsewhere or {}).get(name) or nearest(name, known) or f"Known: {', '.join(known)}."
        field = f"{prefix}{shortened(name)}"
        problems.append(Problem(field=field, message="is not a known field.", suggestion=suggestion))
    if len(unknown) > MOST_UNKNOWN:
        message = f"holds {len(unknown) - MOST_UNKNOWN} more fields that are not known."
        field = prefix.rstrip(".") or "spec"
        problems.append(Problem(field=field, message=message, suggestion="Is it the right file?"))
    return problems


def name(field: str, value: object) -> list[Problem]:
    """The value must be an allowed name."""
    if isinstance(value, str) and is_name(value):
        return []
    return [wrong(field, value, "is not a name.", f"A name is {NAME_RULE}; or leave it out.")]


def text(field: str, value: object) -> list[Problem]:
    """The value must be a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        return [wrong(field, value, "must be a text.", HOW_TO_GIVE.get(field))]
    # The texts become paths, parts of paths or columns of files, so a text that no path can hold is refused.
    reason = why_no_path(value)
    return [] if reason is None else [Problem(field=field, message=reason, suggestion=HOW_TO_GIVE.get(field))]


def choice(choices: tuple[str, ...]) -> Check:
    """The value must be one of some texts."""

    def check(field: str, value: object) -> list[Problem]:
        if value in choices:
            return []
        return [wrong(field, value, f"must be one of {', '.join(choices)}.", nearest(value, choices))]

    return check


def whole(low: int, high: int) -> Check:
    """The value must be a whole number within limits."""

    def check(field: str, value: object) -> list[Problem]:
        if isinstance(value, bool) or not isinstance(value, int):
            return [wrong(field, value, "must be a whole number.")]
        return [] if low <= value <= high else [wrong(field, value, f"must be from {low} to {high}.")]

    return check


def layers(field: str, value: object) -> list[Problem]:
    """The value must be a list of different layer numbers."""
    if not isinstance(value, (list, tuple)):
        return [wrong(field, value, "must be a list of layer numbers.", "For example [2] or [1, 2].")]
    problems = [problem for layer in value for problem in whole(0, LAYER_LIMIT)(field, layer)]
    if not problems and len(set(value)) < len(value):
        problems.append(wrong(field, value, "names a layer twice.", "Name each layer once."))
    return problems


def hook_points(field: str, value: object) -> list[Problem]:
    """The value must be a list of different hook points."""
    if not isinstance(value, (list, tuple)) or not value:
        return [wrong(field, value, "must be a list of hook points.", f"Choose from {', '.join(HOOK_POINTS)}.")]
    problems = []
    for point in value:
        if str(point) in _NOT_OFFERED:
            meaning, instead = _NOT_OFFERED[str(point)]
            problems.append(wrong(field, point, f"is {meaning}, which is not offered.", instead))
        else:
            problems += choice(HOOK_POINTS)(field, point)
    if not problems and len(set(value)) < len(value):
        problems.append(wrong(field, value, "names a hook point twice.", "Name each once."))
    return problems


def device(field: str, value: object) -> list[Problem]:
    """The value must be the name of a device."""
    if isinstance(value, str) and (value in ("auto", "cpu", "cuda") or value.removeprefix("cuda:").isdigit()):
        return []
    return [wrong(field, value, "must be auto, cpu, cuda or cuda:N.")]
