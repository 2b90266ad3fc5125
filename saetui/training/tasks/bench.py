"""Measures this machine, for `saetui bench`: matrix products, a step of each architecture, a transformer's layers.

Each figure is the median of a few repetitions after a first one that is not counted. The latents of architectures with a
penalty are set to fire on one token in a hundred, as trained ones do; how many fired is a figure beside the time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from saetui.errors import SaetuiError
from saetui.sae import DeadLatents, IntervalSums, SparseAutoencoder, build
from saetui.spec.architectures import ARCHITECTURES, BY_K, TRANSCODERS
from saetui.training.allocator import keep_freed_memory
from saetui.training.gradient_step import accumulate
from saetui.training.tasks.task import report, serve_task

REPETITIONS = 3
K = 32
FIRING = 0.01
"""The share of the latents that fire for a token, in architectures with a penalty: about that of a trained SAE."""
FIRING_TOLERANCE = 1.25
"""How far the step that is timed may be from that, as a factor."""
SAMPLE_TOKENS = 256
"""On so many the bias is sought."""
HALVINGS = 16
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PRODUCT_SIDE = {"cpu": 1024, "cuda": 8192}
SLOW_SIDE = 256
"""For bfloat16 on a processor that may have no instructions for that type."""
STEP_SIZES = {"cpu": ((256, 2048, 2048), (768, 6144, 2048)), "cuda": ((768, 12288, 8192), (2304, 16384, 8192))}
FORWARD_WIDTHS = {"cpu": (128, 768), "cuda": (768, 2304)}
FORWARD_SHAPE = {"cpu": (4, 128), "cuda": (32, 512)}


def bench(request: dict[str, Any]) -> dict[str, Any]:
    """Answer `{"device": "auto" | "cpu" | "cuda", "architectures": [NAME …] or null}`.

    Returns:
        `{"device", "torch", "products", "steps", "forwards"}`, which saetui.spec.speed reads.
    """
    wanted = request.get("device", "auto")
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else str(wanted)
    device = torch.device(kind)
    if kind == "cpu":
        keep_freed_memory()
    report("matrix products")
    products = {name: _product_speed(device, dtype) for name, dtype in DTYPES.items()}
    fastest = products["bfloat16" if kind == "cuda" else "float32"]
    steps = []
    for width, latents, batch in STEP_SIZES[kind]:
        for architecture in request.get("architectures") or ARCHITECTURES:
            report(f"{architecture}, {width} × {latents}, {batch} tokens")
            seconds, l0 = _step_figures(architecture, width, latents, batch, device)
            limit = 5 * 2 * width * latents * batch / fastest
            steps.append(
                {
                    "architecture": architecture, "width": width, "latents": latents, "batch_size": batch,
                    "seconds": seconds, "share": limit / seconds, "l0": l0,
                }
            )  # fmt: skip
    forwards = []
    for width in FORWARD_WIDTHS[kind]:
        report(f"transformer layers, {width} wide")
        forwards.append({"width": width, "parameter_tokens": _forward_speed(width, device)})
    name = torch.cuda.get_device_name() if kind == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return {
        "device": name, "torch": str(torch.__version__), "products": products, "steps": steps, "forwards": forwards,
    }  # fmt: skip


def _product_speed(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second in one square product."""
    side = PRODUCT_SIDE[device.type] if dtype == torch.float32 or device.type == "cuda" else SLOW_SIDE
    a, b = torch.randn(side, side, device=device, dtype=dtype), torch.randn(side, side, device=device, dtype=dtype)
    return float(2 * side**3 / _median(lambda: a @ b, device))


def _step_figures(architecture: str, width: int, latents: int, batch: int, device: torch.device) -> tuple[float, float]:
    """The seconds of a whole step (forward, backward, clipping, Adam, dead latents, sums), and the L0 of its tokens."""
    x = torch.randn(batch, width, device=device)
    sae = settled(architecture, width, latents, K, x)
    if device.type == "cuda":
        sae.compute_dtype = torch.bfloat16
    optimizer = torch.optim.Adam(sae.parameters(), lr=0.0, fused=True)
    dead, sums = DeadLatents(latents, 10**12, device), IntervalSums(latents, width, device)
    target: Tensor | None = torch.randn(batch, width, device=device) if architecture in TRANSCODERS else None
    fired = torch.zeros((), device=device)

    def step() -> None:
        nonlocal fired
        optimizer.zero_grad(set_to_none=True)
        losses = accumulate(sae, x, target, sparsity_coefficient=1e-3, dead=dead.current)
        sae.before_step()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimizer.step()
        sae.after_step()
        sums.add(x if target is None else target, losses)
        dead.update(losses.statistics)
        fired = losses.statistics.fired.sum()

    seconds = _median(step, device)
    l0 = float(fired) / batch
    require_l0(architecture, l0, claimed_l0(architecture, latents, K))
    return seconds, l0


def claimed_l0(architecture: str, latents: int, k: int) -> float:
    """The latents that shall fire for a token."""
    return k if architecture in BY_K else FIRING * latents


def require_l0(architecture: str, l0: float, claimed: float) -> None:
    """A time says nothing about a training whose SAE is far denser, or does nothing.

    Raises:
        SaetuiError: the L0 is off by more than `FIRING_TOLERANCE`.
    """
    if not claimed / FIRING_TOLERANCE <= l0 <= claimed * FIRING_TOLERANCE:
        raise SaetuiError(
            f"The step of {architecture} was measured at an L0 of {l0:.3g}, not {claimed:.3g}.",
            "This is a fault of the benchmark: please report it.",
        )


def settled(architecture: str, width: int, latents: int, k: int, x: Tensor) -> SparseAutoencoder:
    """An SAE of random weights whose latents fire as rarely as those of a trained one.

    Args:
        k: of architectures that have it.
        x: what it will be measured on, shape (B, width); the SAE is on its device.
    """
    by_k = architecture in BY_K
    options: dict[str, int] = {"k": k} if by_k else {}
    sae = build(architecture, width, width, latents, torch.Generator().manual_seed(0), **options).to(x.device)
    if not by_k:
        _lower_bias(sae, x[:SAMPLE_TOKENS], FIRING)
    return sae


@torch.no_grad()
def _lower_bias(sae: SparseAutoencoder, x: Tensor, share: float) -> None:
    """Set one bias for all latents, by halving an interval, so that this share of them fires on x."""

    def firing(bias: float) -> float:
        sae.encoder_bias.fill_(bias)
        return float((sae.encode(x) > 0).float().mean())

    low = -1.0
    while firing(low) > share:
        low *= 2
    high = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if firing(middle) < share else (low, middle)
    sae.encoder_bias.fill_(high)


def _forward_speed(width: int, device: torch.device) -> float:
    """Parameters × tokens a second through two layers of a GPT-2 of random weights."""
    from transformers import GPT2Config, GPT2Model

    contexts, length = FORWARD_SHAPE[device.type]
    config = GPT2Config(vocab_size=64, n_positions=length, n_embd=width, n_layer=2, n_head=max(1, width // 64))
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = GPT2Model(config).train(False).to(device=device, dtype=dtype)
    parameters = sum(parameter.numel() for parameter in model.h.parameters())
    tokens = torch.randint(0, 64, (contexts, length), device=device)

    def forward() -> None:
        with torch.no_grad():
            model(input_ids=tokens, use_cache=False)

    return float(parameters * tokens.numel() / _median(forward, device))


def _median(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call."""

    def once() -> float:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once()
    return statistics.median(once() for _ in range(REPETITIONS))


if __name__ == "__main__":
    sys.exit(serve_task(bench))
