"""From the settings of a run to a new SAE: its options, and the weights that it starts with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from saetui.catalog.starts import find_starts
from saetui.sae import ARCHITECTURES, SparseAutoencoder, build
from saetui.sae.continuing import take_over
from saetui.sae.formats.layouts import load_sae
from saetui.sae.options import Option
from saetui.spec.settings import Settings
from saetui.spec.training_spec import TrainingSpec
from saetui.training.pairs import Pair, Units

_SETTING = {
    "firing_threshold": "dead_neuron_threshold",
    "ghost_gradients": "ghost_grad_penalty",
    "widths": "matryoshka_widths",
}
"""The hyperparameter that an option of the SAE library is, where their names differ."""


def sae_options(architecture: str, settings: Settings) -> dict[str, Option]:
    """The keyword arguments that `saetui.sae.build` takes for an architecture: what is not set keeps the library's default."""
    names = [field.name for field in fields(ARCHITECTURES[architecture].options_type)]
    values = {name: settings.values.get(_SETTING.get(name, name)) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def site_generator(seed: int, site: str) -> torch.Generator:
    """The random numbers of one site: the same whatever other sites its job has."""
    digest = hashlib.blake2b(f"{seed} {site}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def new_sae(
    pair: Pair, spec: TrainingSpec, settings: Settings, units: Units, first: Mapping[str, Tensor]
) -> SparseAutoencoder:
    """From scratch, or from the SAE that the spec names; on the CPU, so that one seed gives one SAE on every device.

    Args:
        pair: what is read, and what is predicted.
        spec: for the seed and the architecture.
        settings: the run's numbers.
        units: of input and target.
        first: raw activations by site, from whose centre b_dec starts.

    Raises:
        SaetuiError: the SAE to start from cannot be read, or is of another kind.
    """
    inputs = units.source.normalise(pair.input_of(first).cpu())
    targets = units.target.normalise(pair.target_of(first).cpu())
    sae = build(
        spec.architecture,
        inputs.shape[1],
        targets.shape[1],
        settings.latents,
        site_generator(spec.seed, pair.name),
        **sae_options(spec.architecture, settings),
    )
    if spec.start_from is None:
        sae.initialise_bias(targets, inputs=inputs if pair.is_transcoder else None)
    else:
        start = find_starts(spec.start_from, spec.sites)[pair.name]
        take_over(sae, units.source, units.target, load_sae(start))
    return sae


def product_dtype(model_dtype: torch.dtype) -> torch.dtype | None:
    """The dtype of the SAE's dense products beside a model of this dtype; None for the weights' own float32.

    bfloat16 where the model runs in it. Not float16: small gradients vanish in it, and float32 products are safe.
    """
    return torch.bfloat16 if model_dtype == torch.bfloat16 else None
