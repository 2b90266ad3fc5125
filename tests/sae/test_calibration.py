"""A batch top-k away from training: the threshold that gives its L0 with the weights as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from saetui.sae import ExportMetadata, Normalization, export_saelens, load_saelens
from saetui.sae.batch_topk import BatchTopKSAE, ThresholdSearch
from saetui.training.gradient_step import accumulate
from tests.sae.conftest import stirred

ARCHITECTURES = ("batch_topk", "matryoshka")


def trained(architecture: str, generator: torch.Generator, x: Tensor) -> BatchTopKSAE:
    """An SAE whose running threshold is far behind its weights."""
    sae = stirred(architecture, generator, k=6)
    assert isinstance(sae, BatchTopKSAE)
    accumulate(sae, x * 0.1)
    sae.zero_grad()
    return sae


def searched(sae: BatchTopKSAE, x: Tensor, size: int, most_tokens: int = 96) -> Tensor:
    search = ThresholdSearch(sae, most_tokens)
    for part in torch.split(x, size):
        search.add(part)
    found = search.result()
    assert found is not None
    return found


def l0(sae: BatchTopKSAE, x: Tensor) -> float:
    return int(sae.measure(x).statistics.active) / len(x)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_mean_l0_is_k_on_the_tokens_it_was_searched_on(
    architecture: str, x: Tensor, generator: torch.Generator
) -> None:
    sae = trained(architecture, generator, x)
    assert l0(sae, x) > 12
    sae.calibrated = searched(sae, x, 96)
    assert l0(sae, x) == 6.0
    assert int((sae.encode(x) > 0).sum()) == 6 * 96


@pytest.mark.parametrize("size", [1, 7, 50])
def test_it_is_the_same_in_whatever_blocks_the_tokens_come_and_however_few_there_are(
    size: int, x: Tensor, generator: torch.Generator
) -> None:
    sae = trained("batch_topk", generator, x)
    whole = float(searched(sae, x, 96))
    assert float(searched(sae, x, size)) == pytest.approx(whole, rel=1e-6)
    assert float(searched(sae, x, size, most_tokens=5000)) == pytest.approx(whole, rel=1e-6)


def test_where_fewer_latents_are_positive_all_of_them_are_kept(x: Tensor, generator: torch.Generator) -> None:
    sae = trained("batch_topk", generator, x)
    with torch.no_grad():
        sae.b_enc[3:] = -1000.0
    assert float(searched(sae, x, 50)) == 0.0


def test_no_tokens_are_no_threshold(x: Tensor, generator: torch.Generator) -> None:
    sae = trained("batch_topk", generator, x)
    assert ThresholdSearch(sae, 96).result() is None


def test_the_training_does_not_see_it_and_the_next_batch_forgets_it(x: Tensor, generator: torch.Generator) -> None:
    sae = trained("batch_topk", generator, x)
    before = {name: tensor.clone() for name, tensor in sae.state_dict().items()}
    sae.calibrated = searched(sae, x, 96)
    assert sae.state_dict().keys() == before.keys()
    assert all(tensor.equal(before[name]) for name, tensor in sae.state_dict().items())
    twin = stirred("batch_topk", generator, k=6)
    twin.load_state_dict(before)
    losses, same = accumulate(sae, x), accumulate(twin, x)
    assert losses.total.equal(same.total)
    assert sae.W_enc.grad is not None and twin.W_enc.grad is not None and sae.W_enc.grad.equal(twin.W_enc.grad)
    assert isinstance(twin, BatchTopKSAE) and sae.calibrated is None and sae.threshold.equal(twin.threshold)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_export_has_it_for_its_threshold(
    architecture: str, x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    sae = trained(architecture, generator, x)
    sae.calibrated = searched(sae, x, 96)
    metadata = ExportMetadata("m", "blocks.1.hook_resid_post", "h.1", 1, 32, "text", prepend_bos=True)
    export_saelens(tmp_path / "sae", sae, Normalization("constant_norm", 0.5), metadata)
    loaded = load_saelens(tmp_path / "sae").sae
    assert torch.equal(loaded.state_dict()["threshold"], sae.calibrated.expand(80))
    active = int((loaded.encode(x / 0.5) > 0).sum())
    assert active == pytest.approx(6 * 96, abs=2), "but for the rounding of the folded scale"
