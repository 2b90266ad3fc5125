"""What a shell offers when tab is pressed: jobs, templates, fields and their values.

No supervisor is started for a tab: without one, names of jobs and templates are not known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from saetui.client.blocking import ask
from saetui.errors import SaetuiError
from saetui.protocol.messages import BaseRequest, GetJobs, GetTemplates, R

ANSWER_SECONDS = 2.0
"""For so long a tab may wait for the supervisor."""

_NOTHING_KNOWN = contextlib.suppress(SaetuiError, click.ClickException)
"""What cannot be read has no names to offer. A message would stand in the middle of the line that is being typed."""


def complete_jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of jobs, the newest first, and ids where an id was begun."""
    with _NOTHING_KNOWN:
        jobs = _ask(GetJobs()).jobs
        names = [CompletionItem(job.name, help=job.state) for job in reversed(jobs)]
        return _begun(incomplete, names) or _begun(incomplete, [CompletionItem(job.id, help=job.name) for job in jobs])
    return []


def complete_templates(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of templates, and ids where an id was begun."""
    with _NOTHING_KNOWN:
        found = _ask(GetTemplates()).templates
        names = [CompletionItem(template.name, help=template.description) for template in found]
        return _begun(incomplete, names) or _begun(incomplete, [CompletionItem(template.id) for template in found])
    return []


def complete_overrides(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`KEY=` for the fields of a spec and the hyperparameters, and after the `=` the values of those that have a list."""
    from saetui.spec.hyperparameters import HYPERPARAMETERS
    from saetui.spec.training_spec import DATASET_FIELDS, SPEC_FIELDS

    key, equals, typed = incomplete.partition("=")
    if not equals:
        fields = [field for field in (*SPEC_FIELDS, *DATASET_FIELDS) if field != "hyperparameters"]
        rows = [CompletionItem(f"{name}=", help=row.help) for name, row in HYPERPARAMETERS.items()]
        return _begun(incomplete, [*(CompletionItem(f"{field}=") for field in fields), *rows])
    # Of a list the last entry is being typed.
    before = typed.rpartition(",")[0] + "," if key in ("layers", "hook_points") and "," in typed else ""
    with _NOTHING_KNOWN:
        return _begun(incomplete, [CompletionItem(f"{key}={before}{value}") for value in _values(ctx, key)])
    return []


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own completion of files and directories."""
    return [CompletionItem(incomplete, type="file")]


def _values(ctx: click.Context, key: str) -> Iterable[object]:
    """The values that a field or a hyperparameter can have here; empty where there is no list of them."""
    from saetui.catalog.datasets import list_datasets
    from saetui.catalog.models import list_models
    from saetui.spec.architectures import ARCHITECTURES, HOOK_POINTS
    from saetui.spec.hyperparameter import Kind
    from saetui.spec.hyperparameters import HYPERPARAMETERS
    from saetui.spec.training_spec import DTYPES

    row = HYPERPARAMETERS.get(key)
    if row is not None:
        return ("true", "false") if row.kind is Kind.SWITCH else row.choices
    if key == "layers":
        return _layers(ctx)
    if key == "model":
        return [info.reference for info in list_models()]
    if key in ("dataset", "source"):
        return [info.source for info in list_datasets()]
    lists = {"architecture": ARCHITECTURES, "hook_points": HOOK_POINTS, "device": ("auto", "cpu", "cuda")}
    return lists.get(key, DTYPES if key == "dtype" else ())


def _layers(ctx: click.Context) -> Iterable[int]:
    """The layers of the model that the command line names so far."""
    from saetui.catalog.models import find_model
    from saetui.spec.editing import load_spec_file

    given, spec = ctx.params, dict[str, Any]()
    # click leaves arguments where they are when it cannot parse the line to its end.
    spec_file = given.get("spec_file") or next((word for word in ctx.args if word.endswith(".json")), None)
    if spec_file is not None:
        spec = load_spec_file(Path(spec_file))
    elif given.get("template"):
        spec = next((known.spec for known in _ask(GetTemplates()).templates if known.name == given["template"]), {})
    for override in given.get("overrides") or ():
        key, _, text = override.partition("=")
        spec = {**spec, key: text} if key in ("model", "revision") else spec
    return range(find_model(str(spec.get("model")), spec.get("revision")).num_layers)


def _ask(request: BaseRequest[R]) -> R:
    return ask(request, start=False, timeout=ANSWER_SECONDS)


def _begun(incomplete: str, items: Iterable[CompletionItem]) -> list[CompletionItem]:
    return [item for item in items if str(item.value).startswith(incomplete)]
