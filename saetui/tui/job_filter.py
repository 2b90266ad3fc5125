"""The filter of the list of jobs: words, `field:text`, and figures with a bound, such as `state:failed fvu<0.3`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping

from saetui.jobs.job import Job
from saetui.spec.hyperparameter import typed_number

TEXTS: Mapping[str, Callable[[Job], str]] = {
    "name": lambda job: job.name,
    "id": lambda job: job.id,
    "state": lambda job: f"{job.state} {job.status.value}",
    "architecture": lambda job: job.architecture,
    "model": lambda job: job.model,
    "site": lambda job: " ".join(job.sites),
}
"""What `field:text` looks at; a word alone looks at all of it."""

FIGURES: Mapping[str, Callable[[Job], float | None]] = {
    "fvu": lambda job: job.mean_metric("fvu"),
    "held_fvu": lambda job: job.mean_metric("eval_fvu"),
    "loss": lambda job: job.mean_metric("loss"),
    "l0": lambda job: job.mean_metric("l0"),
    "held_l0": lambda job: job.mean_metric("eval_l0"),
    "dead": lambda job: job.mean_metric("dead_fraction"),
    "step": lambda job: job.step,
    "progress": lambda job: job.progress,
    "tokens_per_second": lambda job: job.tokens_per_second,
}
"""What can have a bound: means over the job's sites, as the list shows them."""

_BOUND = re.compile(r"(?P<field>[a-z0-9_]+)(?P<sign><=|>=|<|>|=)(?P<bound>.*)")
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": math.isclose,
}


def matches(job: Job, text: str) -> bool:
    """Whether a job fulfils every word of a filter. Letters count alike in both cases."""
    return all(_fulfils(job, word) for word in text.lower().split())


def wrong_words(text: str) -> str:
    """What is wrong with a filter, and what would be right; "" where nothing is."""
    for word in text.lower().split():
        bound = _BOUND.fullmatch(word)
        if bound is None:
            continue
        if bound["field"] not in FIGURES:
            return f"{bound['field']} has no figures; {', '.join(FIGURES)} have."
        if bound["bound"] and _number(bound["bound"]) is None:
            return f"{bound['bound']} is no number; 0.3, 5%, 12k and 1e-4 are."
    return ""


def _fulfils(job: Job, word: str) -> bool:
    bound = _BOUND.fullmatch(word)
    if bound is not None and bound["field"] in FIGURES:
        value, limit = FIGURES[bound["field"]](job), _number(bound["bound"])
        # A bound that is still being typed hides nothing.
        return limit is None or (value is not None and _SIGNS[bound["sign"]](value, limit))
    field, colon, sought = word.partition(":")
    if colon and field in TEXTS:
        return sought in TEXTS[field](job).lower()
    return any(word in text(job).lower() for text in TEXTS.values())


def _number(text: str) -> float | None:
    """A number as people type it; a percentage is a fraction."""
    number = typed_number(text.removesuffix("%"))
    if number is None or not math.isfinite(number):
        return None
    return number / 100 if text.endswith("%") else number
