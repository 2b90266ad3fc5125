"""the formulas of the papers (saetui/docs/architectures.md), written out in float64 for autograd: what the library is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from saetui.sae import JumpReLUSAE, SparseAutoencoder


@dataclass(frozen=True)
class Rendering:
    terms: dict[str, Tensor]
    gradients: dict[str, Tensor]


def leaves(sae: SparseAutoencoder) -> dict[str, Tensor]:
    """The parameters in float64, as leaves of a graph of their own."""
    return {name: p.detach().double().requires_grad_() for name, p in sae.named_parameters()}


def differentiate(terms: dict[str, Tensor], parameters: Mapping[str, Tensor]) -> Rendering:
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    gradients = {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in parameters.items()}
    return Rendering({name: term.detach() for name, term in terms.items()}, gradients)


def standard(sae: SparseAutoencoder, x: Tensor, alpha: float, *, free: bool = False) -> Rendering:
    p = leaves(sae)
    x = x.double()
    W_enc = p["W_enc"] if "W_enc" in p else p["W_dec"].t()
    z = ((x - p["b_dec"]) @ W_enc + p["b_enc"]).relu()
    x_hat = z @ p["W_dec"] + p["b_dec"]
    n = p["W_dec"].norm(dim=1) if free else torch.ones_like(p["b_enc"])
    return differentiate({"recon": ((x_hat - x) ** 2).mean(), "sparsity": alpha * (z * n).sum(1).mean()}, p)


def jumprelu(
    sae: JumpReLUSAE, x: Tensor, alpha: float, *, y: Tensor | None = None, dead: Tensor | None = None
) -> Rendering:
    """The straight-through gradients as a surrogate: its value is the formula's, its derivative the paper's.

    For ∂/∂θ a term −(·/ε)·K·(θ − detached θ), which is 0 itself; everything else is ordinary arithmetic.
    """
    p = leaves(sae)
    x = x.double()
    y = x if y is None else y.double()
    centred = x - p["b_dec"] if sae.centres_input else x
    h = centred @ p["W_enc"] + p["b_enc"]
    theta = p["threshold"]
    on = (h > theta).double().detach()
    kernel = ((((h - theta) / sae.options.bandwidth).abs() < 0.5).double() / sae.options.bandwidth).detach()
    moved = theta - theta.detach()
    step = on - kernel * moved
    z = h * on - kernel * theta.detach() * moved
    x_hat = z @ p["W_dec"] + p["b_dec"]
    n = p["W_dec"].norm(dim=1) if sae.options.decoder_norm == "free" else torch.ones_like(theta)
    l0 = step.sum(1)
    penalty = {
        "step": l0.mean(),
        "quadratic": (2.0 / sae.options.l0_target * (l0 - sae.options.l0_target) ** 2).mean(),
        "tanh": torch.tanh(4.0 * z * n).sum(1).mean(),
    }[sae.options.sparsity_mode]
    terms = {"recon": ((x_hat - y) ** 2).mean(), "sparsity": alpha * penalty}
    if dead is not None:
        terms["aux"] = sae.options.pre_activation_alpha * ((theta - h).relu() * n)[:, dead].sum(1).mean()
    return differentiate(terms, p)


def gated(sae: SparseAutoencoder, x: Tensor, alpha: float) -> Rendering:
    p = leaves(sae)
    x = x.double()
    a = (x - p["b_dec"]) @ p["W_enc"]
    pi = a + p["b_gate"]
    z = (pi > 0) * (p["r_mag"].exp() * a + p["b_mag"]).relu()
    x_hat = z @ p["W_dec"] + p["b_dec"]
    by_gate = pi.relu() @ p["W_dec"].detach() + p["b_dec"].detach()
    n = p["W_dec"].detach().norm(dim=1) if sae.options.decoder_norm == "free" else torch.ones_like(p["b_gate"])
    terms = {
        "recon": ((x_hat - x) ** 2).mean(),
        "sparsity": alpha * (pi.relu() * n).sum(1).mean(),
        "aux": ((by_gate - x) ** 2).mean(),
    }
    return differentiate(terms, p)


def topk(
    sae: SparseAutoencoder, x: Tensor, k: int, dead: Tensor | None, aux_k: int = 1, alpha: float = 0.0
) -> Rendering:
    p = leaves(sae)
    x = x.double()
    h = (x - p["b_dec"]) @ p["W_enc"] + p["b_enc"]
    z = _largest(h, k)
    x_hat = z @ p["W_dec"] + p["b_dec"]
    terms = {"recon": ((x_hat - x) ** 2).mean(), "aux": h.new_zeros(())}
    if dead is not None:
        hidden = torch.where(dead, h, torch.full_like(h, -torch.inf))
        e = (x - x_hat).detach()
        e_hat = _largest(hidden, min(aux_k, int(dead.sum()))) @ p["W_dec"]
        scale = min(int(dead.sum()) / aux_k, 1.0)
        terms["aux"] = alpha * scale * ((e_hat - e) ** 2).mean() / (e**2).mean()
    return differentiate(terms, p)


def _largest(h: Tensor, k: int) -> Tensor:
    threshold = h.topk(k, dim=1).values[:, -1:]
    return torch.where(h >= threshold, h.relu(), torch.zeros_like(h))


def assert_close(ours: Tensor | None, theirs: Tensor, what: str, tolerance: float = 1e-5) -> None:
    """Equal to the tolerance, relative to the largest entry."""
    assert ours is not None, what
    scale = float(theirs.abs().max().clamp_min(1e-12))
    worst = float((ours.detach().double() - theirs.double()).abs().max()) / scale
    assert worst <= tolerance, f"{what} is off by {worst:.2e} of its largest entry"


def assert_renders(sae: SparseAutoencoder, terms: Mapping[str, Tensor], reference: Rendering) -> None:
    """The terms, and the gradients that a backward pass has left in the SAE, are the reference's."""
    for name, term in reference.terms.items():
        assert_close(terms[name], term, name)
    for name, gradient in reference.gradients.items():
        parameter = dict(sae.named_parameters())[name]
        assert_close(parameter.grad, gradient, f"gradient of {name}")
