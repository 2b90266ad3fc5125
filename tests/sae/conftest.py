from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from saetui.sae import SparseAutoencoder, build
from saetui.sae.base import ENCODER_START
from saetui.sae.options import Option


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def x(generator: torch.Generator) -> Tensor:
    """A batch with an offset, as residual streams have one."""
    offset = torch.randn(24, generator=generator)
    return torch.randn(96, 24, generator=generator) + offset


def stirred(architecture: str, generator: torch.Generator, **options: Option) -> SparseAutoencoder:
    """An SAE of 80 latents with no parameter left at its start, so that no gradient is right by accident."""
    sae = build(architecture, 24, 24, 80, generator, **options)
    with torch.no_grad():
        if "W_enc" in dict(sae.named_parameters()):
            # To the size that it has once trained: at its start hardly a pre-activation is far from 0.
            sae.W_enc.div_(ENCODER_START)
        for parameter in sae.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    sae.after_step()
    return sae
