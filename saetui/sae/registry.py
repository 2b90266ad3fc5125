"""The architectures by name. A new one is its file, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from saetui.errors import InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.batch_topk import BatchTopKSAE
from saetui.sae.gated import GatedSAE
from saetui.sae.jumprelu import JumpReLUSAE
from saetui.sae.matryoshka import MatryoshkaSAE
from saetui.sae.options import Option
from saetui.sae.skip import SkipSAE
from saetui.sae.standard import StandardSAE
from saetui.sae.topk import TopKSAE
from saetui.sae.transcoder import SkipTranscoder, Transcoder

ARCHITECTURES: dict[str, type[SparseAutoencoder]] = {
    "standard": StandardSAE,
    "jumprelu": JumpReLUSAE,
    "gated": GatedSAE,
    "topk": TopKSAE,
    "batch_topk": BatchTopKSAE,
    "matryoshka": MatryoshkaSAE,
    "skip": SkipSAE,
    "transcoder": Transcoder,
    "skip_transcoder": SkipTranscoder,
}


def build(
    architecture: str, d_in: int, d_out: int, latents: int, generator: torch.Generator, **options: Option
) -> SparseAutoencoder:
    """A new SAE on the CPU, in float32.

    Args:
        architecture: a key of `ARCHITECTURES`.
        d_in: width of the input.
        d_out: width of the target; the same for all but transcoders.
        latents: F.
        generator: a CPU generator: the same seed, the same SAE.
        options: the fields of the architecture's options (`ARCHITECTURES[architecture].options_type`).

    Raises:
        InvalidInput: an unknown architecture, an option that is unknown, missing or invalid.
    """
    kind = ARCHITECTURES.get(architecture)
    if kind is None:
        raise InvalidInput(
            f"The architecture {architecture!r} is unknown.", f"Choose one of {', '.join(ARCHITECTURES)}."
        )
    return kind(d_in, d_out, latents, generator, **options)


def build_from(description: Mapping[str, Option], generator: torch.Generator | None = None) -> SparseAutoencoder:
    """A new SAE as a `description` describes it.

    Raises:
        InvalidInput: the description lacks a size, or names something unknown.
    """
    options = dict(description)
    architecture = options.pop("architecture", None)
    sizes = [options.pop(name, None) for name in ("d_in", "d_out", "latents")]
    if not isinstance(architecture, str) or not all(isinstance(size, int) for size in sizes):
        raise InvalidInput("The description lacks its architecture or a size.", "It needs d_in, d_out and latents.")
    d_in, d_out, latents = (int(size) for size in sizes if isinstance(size, int))
    return build(architecture, d_in, d_out, latents, generator or torch.Generator(), **options)
