"""The top-k family's formulas (saetui/docs/architectures.md), written out in float64 for autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saetui.sae import SparseAutoencoder
from tests.sae.reference import Rendering, differentiate, leaves


def selecting(
    sae: SparseAutoencoder,
    x: Tensor,
    y: Tensor,
    *,
    k: int,
    over_batch: bool = False,
    widths: Sequence[int] | None = None,
    dead: Tensor | None = None,
    aux_k: int = 1,
    alpha: float = 0.0,
) -> Rendering:
    """topk, batch_topk, matryoshka and transcoders by k: what differs is said by the arguments."""
    p, x, y = leaves(sae), x.double(), y.double()
    h = _pre_activations(sae, p, x)
    cut = h.relu().flatten().sort(descending=True).values[k * len(x) - 1] if over_batch else _kth(h, k)
    z = torch.where(h >= cut, h.relu(), 0.0)
    recons = []
    for width in widths or [sae.latents]:
        y_hat = z[:, :width] @ p["W_dec"][:width] + p["b_dec"] + _skip(p, x)
        recons.append(((y_hat - y) ** 2).mean())
    terms = {"recon": torch.stack(recons).mean(), "aux": h.new_zeros(())}
    if dead is not None:
        hidden = torch.where(dead, h, -torch.inf)
        count = int(dead.sum())
        e = (y - y_hat).detach()
        e_hat = torch.where(hidden >= _kth(hidden, min(aux_k, count)), h.relu(), 0.0) @ p["W_dec"]
        terms["aux"] = alpha * min(count / aux_k, 1.0) * ((e_hat - e) ** 2).mean() / (e**2).mean()
    return differentiate(terms, p)


def penalised(sae: SparseAutoencoder, x: Tensor, y: Tensor, alpha: float) -> Rendering:
    """Transcoders by L1."""
    p, x, y = leaves(sae), x.double(), y.double()
    z = _pre_activations(sae, p, x).relu()
    y_hat = z @ p["W_dec"] + p["b_dec"] + _skip(p, x)
    n = p["W_dec"].norm(dim=1) if sae.options.decoder_norm == "free" else 1.0
    return differentiate({"recon": ((y_hat - y) ** 2).mean(), "sparsity": alpha * (z * n).sum(1).mean()}, p)


def copying(sae: SparseAutoencoder, x: Tensor, alpha: float, c: float) -> Rendering:
    """skip, as its document writes it."""
    p, x = leaves(sae), x.double()
    z = _pre_activations(sae, p, x).relu()
    x_hat = (1 - c) * (z @ p["W_dec"] + p["b_dec"]) + c * x
    return differentiate({"recon": ((x_hat - x) ** 2).mean(), "sparsity": alpha * z.sum(1).mean()}, p)


def _pre_activations(sae: SparseAutoencoder, p: dict[str, Tensor], x: Tensor) -> Tensor:
    return (x - p["b_dec"] if sae.centres_input else x) @ p["W_enc"] + p["b_enc"]


def _skip(p: dict[str, Tensor], x: Tensor) -> Tensor:
    return x @ p["W_skip"] if "W_skip" in p else x.new_zeros(())


def _kth(h: Tensor, k: int) -> Tensor:
    return h.topk(k, dim=1).values[:, -1:]
