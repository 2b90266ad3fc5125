"""The figures that follow from a form: how many SAEs of which size, and for how long. Nothing is guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from saetui.catalog.datasets import DatasetInfo
from saetui.catalog.models import ModelInfo
from saetui.spec.hyperparameters import HYPERPARAMETERS
from saetui.spec.problems import errors_of
from saetui.spec.settings import Settings, check_together, count_active, count_latents, count_steps, with_defaults
from saetui.spec.training_spec import TrainingSpec, check_fields, parse_spec
from saetui.spec.validation import generated_job_name
from saetui.tui.draft import Draft
from saetui.tui.fields import PREFIX

BYTES_PER_TOKEN = 4
"""Of text, about: a tokenizer with a vocabulary of its language comes to 3 to 5. The tokens are counted only in training."""


@dataclass(frozen=True, kw_only=True)
class RunFigures:
    """The size of a training.

    Attributes:
        sites: SAEs, one for each layer × hook point.
        parameters: of one SAE.
        active: latents that may fire for a token, if the architecture sets it.
        steps, tokens, checkpoints: None while they depend on the unknown length of the dataset.
    """

    sites: int
    latents: int
    d_in: int
    parameters: int
    active: int | None
    batch_size: int
    steps: int | None
    tokens: int | None
    checkpoints: int | None

    @property
    def weight_bytes(self) -> int:
        """All SAEs' weights in float32."""
        return 4 * self.parameters * self.sites


def sound_spec(draft: Draft) -> TrainingSpec | None:
    """The draft as a spec; None while a field is wrong."""
    raw = draft.raw()
    if draft.typing_problems() or errors_of(check_fields(raw)):
        return None
    return parse_spec(raw)[0]


def run_figures(draft: Draft, model: ModelInfo | None) -> RunFigures | None:
    """The figures of a draft for a model; None while a field is wrong or the model is not known."""
    spec = sound_spec(draft)
    if spec is None or model is None:
        return None
    values = with_defaults(spec)
    if check_together(values, model.hidden_size):
        return None
    latents, batch_size = count_latents(values, model.hidden_size), int(values["batch_size"])
    steps = count_steps(values, batch_size, None)
    matrices = 1 if values.get("tie_weights") else 2
    has_k = "k" in values or "top_k_sparsity" in values
    return RunFigures(
        sites=len(spec.layers or (model.middle_layer,)) * len(spec.hook_points),
        latents=latents,
        d_in=model.hidden_size,
        parameters=matrices * latents * model.hidden_size + latents + model.hidden_size,
        active=count_active(values, latents) if has_k else None,
        batch_size=batch_size,
        steps=steps,
        tokens=None if steps is None else steps * batch_size,
        checkpoints=None if steps is None else math.ceil(steps / int(values["checkpoint_interval"])),
    )


def derived_values(draft: Draft, model: ModelInfo | None, dataset: DatasetInfo | None = None) -> dict[str, str]:
    """The values of fields that may be left empty because they follow from others, as people read them.

    The length of the run in its other units is known whatever else is wrong.
    """
    length = _length(draft, dataset)
    figures = run_figures(draft, model)
    if figures is None or model is None:
        return length
    shown = {"latent_dim": grouped(figures.latents), "expansion_factor": f"{figures.latents / figures.d_in:.6g}"}
    if figures.active is not None:
        shown["k"] = grouped(figures.active)
        shown["top_k_sparsity"] = f"{100 * figures.active / figures.latents:.4g}"
    named = {PREFIX + name: text for name, text in shown.items()} | {"name": _job_name(draft, model)}
    return length | named | _settings_values(draft.settings(model.hidden_size))


def _length(draft: Draft, dataset: DatasetInfo | None) -> dict[str, str]:
    """Steps, tokens and passes, each from the one that is set; with ≈ where the tokens of the text are only supposed."""
    given = draft.raw()["hyperparameters"]
    rows = {name: HYPERPARAMETERS[name] for name in ("batch_size", "num_steps", "num_tokens", "num_epochs")}
    typed = {name for name in rows if draft.text(PREFIX + name)}
    if any(name not in given or rows[name].check(given[name]) for name in typed):
        return {}  # one of them is wrong, so nothing follows from it
    values = {name: given.get(name, row.default) for name, row in rows.items()}
    batch_size = int(values["batch_size"])
    of_text = None if dataset is None else max(1, round(dataset.size_bytes / BYTES_PER_TOKEN))
    steps = count_steps(values, batch_size, of_text)
    in_passes = values["num_epochs"] is not None
    if steps is None:
        found = {"num_steps": "once the text is read"}
    else:
        about = "≈ " if in_passes else ""
        found = {"num_steps": about + grouped(steps), "num_tokens": about + grouped(steps * batch_size)}
        if of_text is not None and not in_passes:
            passes = steps * batch_size / of_text
            found["num_epochs"] = f"≈ {grouped(round(passes)) if passes >= 10 else f'{passes:.2g}'}"
    return {PREFIX + name: text for name, text in found.items()}


def _job_name(draft: Draft, model: ModelInfo) -> str:
    spec = sound_spec(draft)
    if spec is None:
        return ""
    return generated_job_name(msgspec.structs.replace(spec, layers=spec.layers or (model.middle_layer,)))


def grouped(number: int) -> str:
    """A whole number that is easy to read and can still be typed: 16,384."""
    return f"{number:,}" if number >= 10_000 else str(number)


def _settings_values(settings: Settings | None) -> dict[str, str]:
    if settings is None:
        return {}
    names = ("warmup_steps", "sparsity_warmup_steps", "aux_k", "micro_batch_size", "dead_neuron_window")
    return {PREFIX + name: grouped(settings.values[name]) for name in names if settings.values.get(name) is not None}
