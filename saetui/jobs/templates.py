"""What can be done with templates without a store: the built-in ones, order, search, names, and files of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from saetui.display.figures import plain_number
from saetui.errors import FormatError
from saetui.formats.names import NAME_RULE, is_name, plain_name
from saetui.spec.editing import FILE_LIMIT
from saetui.spec.problems import errors_of
from saetui.spec.training_spec import check_fields

DESCRIPTION_LIMIT = 500

DEMO_NAME = "demo"

DEMO_SPEC: dict[str, Any] = {
    "model": "bundled:tiny",
    "dataset": {"source": "bundled:stdlib", "context_length": 128},
    "layers": [2],
    "hook_points": ["resid_post"],
    "architecture": "topk",
    "hyperparameters": {
        "expansion_factor": 8,
        "k": 32,
        "batch_size": 2048,
        "num_steps": 2000,
        "eval_interval": 500,
        "checkpoint_interval": 1000,
    },
}
"""What `saetui demo` trains: an SAE on the bundled model and text, in a few minutes on two cores."""

FORMAT = "saetui-templates"
FORMAT_VERSION = 1

MOST_ENTRIES = 2000
"""Templates that a file may have."""

_ENTRY_FIELDS = frozenset({"name", "description", "spec", "favorite"})


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template in the store.

    Attributes:
        spec: a training spec as JSON, any field missing; valid as far as it goes.
        builtin: comes with saetui and is read-only.
        missing: which of its model and dataset are not on this machine; filled when it is shown, never stored.
    """

    id: str
    name: str
    spec: dict[str, Any]
    created_at: str
    updated_at: str
    description: str = ""
    favorite: bool = False
    builtin: bool = False
    use_count: int = 0
    last_used_at: str | None = None
    missing: tuple[str, ...] = ()


class RefusedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of an imported file that did not come in, and why."""

    index: int
    name: str
    reason: str


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came in, and what did not."""

    imported: tuple[Template, ...]
    refused: tuple[RefusedEntry, ...]


class TemplateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A template in a file: what it is, without what one store knows of it."""

    name: str
    spec: dict[str, Any]
    description: str = ""
    favorite: bool = False


def generated_name(spec: Mapping[str, Any]) -> str:
    """A name from what the spec says: `<architecture>_<expansion>x_<steps>steps`."""
    values = spec.get("hyperparameters") or {}
    architecture = spec.get("architecture") or "topk"
    if values.get("latent_dim") is not None:
        width = f"{values['latent_dim']}latents"
    else:
        width = f"{values.get('expansion_factor', 8):g}x"
    for unit in ("num_tokens", "num_epochs"):
        if values.get(unit) is not None:
            return plain_name(f"{architecture}_{width}_{plain_number(values[unit])}{unit.removeprefix('num_')}")
    return plain_name(f"{architecture}_{width}_{int(values.get('num_steps') or 100_000)}steps")


def check_template(name: str, description: str, spec: object) -> list[str]:
    """Why a template cannot be kept, one sentence each; none where it can."""
    reasons = []
    if name and not is_name(name):
        reasons.append(f"name: {name[:80]!r} is not a name: a name is {NAME_RULE}.")
    if len(description) > DESCRIPTION_LIMIT:
        reasons.append(f"description: has {len(description)} characters, at most {DESCRIPTION_LIMIT} are kept.")
    if not isinstance(spec, dict):
        return [*reasons, "spec: must be an object of training spec fields."]
    return reasons + [problem.sentence() for problem in errors_of(check_fields(spec, partial=True))]


def sort_templates(templates: Iterable[Template]) -> list[Template]:
    """Favourites first, then by last use, the newest first; those never used by name."""
    by_name = sorted(templates, key=lambda template: template.name.lower())
    by_use = sorted(by_name, key=lambda template: template.last_used_at or "", reverse=True)
    return sorted(by_use, key=lambda template: not template.favorite)


def search_templates(templates: Iterable[Template], text: str) -> list[Template]:
    """Those in which every word of the text occurs: in name, description, model, dataset or architecture."""
    words = text.lower().split()
    return [template for template in templates if all(word in _searchable(template) for word in words)]


def export_text(templates: Iterable[Template]) -> str:
    """A file that holds templates, for `read_import` here or elsewhere."""
    entries = [
        TemplateEntry(
            name=template.name, spec=template.spec, description=template.description, favorite=template.favorite
        )
        for template in templates
    ]
    document = {"format": FORMAT, "version": FORMAT_VERSION, "templates": entries}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def read_import(text: str) -> tuple[list[TemplateEntry], list[RefusedEntry]]:
    """The good entries of a template file, and the others with their reasons.

    Raises:
        FormatError: it is no template file at all.
    """
    good: list[TemplateEntry] = []
    refused: list[RefusedEntry] = []
    for index, entry in enumerate(_entries(text)):
        reasons = _check_entry(entry)
        if reasons:
            name = entry.get("name") if isinstance(entry, dict) else None
            shown = name[:64] if isinstance(name, str) else f"entry {index + 1}"
            refused.append(RefusedEntry(index=index, name=shown, reason=" ".join(reasons)))
        else:
            good.append(msgspec.convert(entry, TemplateEntry))
    return good, refused


def _entries(text: str) -> list[Any]:
    way_out = "Give a file that `saetui templates export` wrote."
    if len(text.encode()) > FILE_LIMIT:
        raise FormatError(
            f"The file is longer than {FILE_LIMIT} bytes, the most that a template file may have.", way_out
        )
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FormatError(f"The file is not JSON: {error}.", way_out) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FormatError(f'The file is not a template file: it does not say "format": "{FORMAT}".', way_out)
    if document.get("version") != FORMAT_VERSION:
        raise FormatError(
            f"The file has version {document.get('version')!r}, this saetui reads {FORMAT_VERSION}.",
            "Export it again with this version, or use a newer saetui.",
        )
    entries = document.get("templates")
    if not isinstance(entries, list) or not entries:
        raise FormatError("The file holds no templates.", way_out)
    if len(entries) > MOST_ENTRIES:
        raise FormatError(
            f"The file holds {len(entries)} templates; {MOST_ENTRIES} are the most.",
            "Share them out over several files.",
        )
    return entries


def _check_entry(entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return ["It is not an object."]
    reasons = [f"{name}: is not a known field." for name in entry if name not in _ENTRY_FIELDS]
    name, description = entry.get("name"), entry.get("description", "")
    if not isinstance(name, str) or not name:
        reasons.append("name: is missing.")
    if not isinstance(description, str):
        reasons.append("description: must be a text.")
    if not isinstance(entry.get("favorite", False), bool):
        reasons.append("favorite: must be true or false.")
    return reasons + check_template(
        name if isinstance(name, str) else "", description if isinstance(description, str) else "", entry.get("spec")
    )


def _searchable(template: Template) -> str:
    spec = template.spec
    dataset = spec.get("dataset")
    source = dataset.get("source", "") if isinstance(dataset, dict) else ""
    parts = (template.name, template.description, spec.get("model"), source, spec.get("architecture"))
    return " ".join(str(part) for part in parts if part).lower()


def _builtin(key: str, name: str, description: str, spec: dict[str, Any]) -> Template:
    since = "2026-11-21T00:00:00Z"
    return Template(
        id=f"builtin-{key}",
        name=name,
        description=description,
        spec=spec,
        builtin=True,
        created_at=since,
        updated_at=since,
    )


BUILTIN_TEMPLATES: tuple[Template, ...] = (
    _builtin(
        "smoke",
        "Smoke test",
        "A few hundred steps on the bundled model: shows in well under a minute that everything works.",
        {
            **DEMO_SPEC,
            "hyperparameters": {
                "k": 16,
                "batch_size": 1024,
                "num_steps": 200,
                "eval_interval": 100,
            },
        },
    ),
    _builtin(
        "demo",
        "Demo",
        "What `saetui demo` trains: a TopK SAE in the middle of the bundled model, a few minutes on two cores.",
        DEMO_SPEC,
    ),
    _builtin(
        "l1",
        "Bundled model with L1",
        "A ReLU SAE with an L1 penalty on the bundled model, to compare with the TopK demo.",
        {
            **DEMO_SPEC,
            "architecture": "standard",
            "hyperparameters": {
                "expansion_factor": 8,
                "l1_alpha": 1e-2,
                "batch_size": 2048,
                "num_steps": 2000,
                "eval_interval": 500,
                "checkpoint_interval": 1000,
            },
        },
    ),
    _builtin(
        "gpt2",
        "GPT-2 small",
        "TopK at the middle of GPT-2 small, 16 times as wide, 200 million tokens. Choose your dataset.",
        {
            "model": "openai-community/gpt2",
            "layers": [6],
            "hook_points": ["resid_post"],
            "architecture": "topk",
            "hyperparameters": {
                "expansion_factor": 16,
                "k": 32,
                "batch_size": 4096,
                "num_tokens": 200_000_000,
            },
        },
    ),
    _builtin(
        "gemma2-jetson",
        "Gemma 2 2B on a Jetson",
        "TopK with 16k latents at layer 12 of Gemma 2 2B, sized for 8 GB that CPU and GPU share. Choose your dataset.",
        {
            "model": "google/gemma-2-2b",
            "layers": [12],
            "hook_points": ["resid_post"],
            "architecture": "topk",
            "dtype": "bfloat16",
            "hyperparameters": {
                "latent_dim": 16384,
                "k": 64,
                "batch_size": 1024,
                "num_tokens": 50_000_000,
            },
        },
    ),
)
