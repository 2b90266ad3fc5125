"""Templates: the built-in ones, and checks, names, order and search without a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from saetui.display.figures import plain_number
from saetui.formats.names import NAME_RULE, is_name, plain_name
from saetui.spec.hyperparameters import HYPERPARAMETERS
from saetui.spec.problems import errors_of
from saetui.spec.training_spec import DEFAULT_ARCHITECTURE, check_fields

DESCRIPTION_LIMIT = 500


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template in the store.

    Attributes:
        spec: a training spec as JSON; any field may be missing, and the others are valid.
        builtin: comes with saetui and is read-only.
        missing: `model` and `dataset` where they are not on this machine; found when it is shown, never stored.
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


def generated_name(spec: Mapping[str, Any]) -> str:
    """A name made from a spec: `<architecture>_<expansion>x_<steps>steps`."""
    values = spec.get("hyperparameters") or {}
    architecture = spec.get("architecture") or DEFAULT_ARCHITECTURE
    if values.get("latent_dim") is not None:
        width = f"{values['latent_dim']}latents"
    else:
        width = f"{values.get('expansion_factor', HYPERPARAMETERS['expansion_factor'].default):g}x"
    for unit in ("num_tokens", "num_epochs"):
        if values.get(unit) is not None:
            return plain_name(f"{architecture}_{width}_{plain_number(values[unit])}{unit.removeprefix('num_')}")
    steps: Any = values.get("num_steps") or HYPERPARAMETERS["num_steps"].default
    return plain_name(f"{architecture}_{width}_{int(steps)}steps")


def check_template(name: str, description: str, spec: object) -> list[str]:
    """Why a template is refused, one sentence each; empty for a sound one."""
    reasons = []
    if name and not is_name(name):
        reasons.append(f"name: {name[:80]!r} is not a name: a name is {NAME_RULE}.")
    if len(description) > DESCRIPTION_LIMIT:
        reasons.append(f"description: has {len(description)} characters; the limit is {DESCRIPTION_LIMIT}.")
    if not isinstance(spec, dict):
        return [*reasons, "spec: must be an object of training spec fields."]
    return reasons + [problem.sentence() for problem in errors_of(check_fields(spec, partial=True))]


def sort_templates(templates: Iterable[Template]) -> list[Template]:
    """Favourites first, then the last used first; those that were never used follow by name."""
    by_name = sorted(templates, key=lambda template: template.name.lower())
    by_use = sorted(by_name, key=lambda template: template.last_used_at or "", reverse=True)
    return sorted(by_use, key=lambda template: not template.favorite)


def search_templates(templates: Iterable[Template], text: str) -> list[Template]:
    """The templates in whose name, description, model, dataset or architecture each word of the text occurs."""
    words = text.lower().split()
    return [template for template in templates if all(word in _searchable(template) for word in words)]


def _searchable(template: Template) -> str:
    spec = template.spec
    dataset = spec.get("dataset")
    source = dataset.get("source", "") if isinstance(dataset, dict) else ""
    parts = (template.name, template.description, spec.get("model"), source, spec.get("architecture"))
    return " ".join(str(part) for part in parts if part).lower()


DEMO_NAME = "demo"
_BUNDLED: dict[str, Any] = {
    "model": "bundled:tiny",
    "dataset": {"source": "bundled:stdlib", "context_length": 128},
    "layers": [2],
    "hook_points": ["resid_post"],
    "architecture": "topk",
}
_SHORT = {"batch_size": 2048, "num_steps": 2000, "eval_interval": 500, "checkpoint_interval": 1000}
DEMO_SPEC: dict[str, Any] = {**_BUNDLED, "hyperparameters": {"expansion_factor": 8, "k": 32, **_SHORT}}
"""What `saetui demo` trains: an SAE on the bundled model and text, in a few minutes on two cores."""


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
    _builtin("smoke", "Smoke test",
        "A few hundred steps on the bundled model: shows in well under a minute that everything works.",
        {**_BUNDLED, "hyperparameters": {"k": 16, "batch_size": 1024, "num_steps": 200, "eval_interval": 100}}),
    _builtin("demo", "Demo",
        "What `saetui demo` trains: a TopK SAE in the middle of the bundled model, a few minutes on two cores.",
        DEMO_SPEC),
    _builtin("l1", "Bundled model with L1",
        "A ReLU SAE with an L1 penalty on the bundled model, to compare with the TopK demo.",
        {**_BUNDLED, "architecture": "standard",
         "hyperparameters": {"expansion_factor": 8, "l1_alpha": 1e-2, **_SHORT}}),
    _builtin("gpt2", "GPT-2 small",
        "TopK at the middle of GPT-2 small, 16 times as wide, 200 million tokens. It reads the bundled text until you choose yours.",
        {"model": "openai-community/gpt2", "dataset": {"source": "bundled:stdlib"}, "layers": [6], "hook_points": ["resid_post"], "architecture": "topk",
         "hyperparameters": {"expansion_factor": 16, "k": 32, "batch_size": 4096, "num_tokens": 200_000_000}}),
    _builtin("gemma2-jetson", "Gemma 2 2B on a Jetson",
        "TopK with 16k latents at layer 12 of Gemma 2 2B, sized for 8 GB that CPU and GPU share. It reads the bundled text until you choose yours.",
        {"model": "google/gemma-2-2b", "dataset": {"source": "bundled:stdlib"}, "layers": [12], "hook_points": ["resid_post"], "architecture": "topk",
         "hyperparameters": {"latent_dim": 16384, "k": 64, "batch_size": 1024, "num_tokens": 50_000_000}}),
)  # fmt: skip
