"""Ours, for tests/benchmarks/step.py: forward, backward, clipping, Adam, dead latents, sums."""

from __future__ import annotations

import sys

import torch

from saetui.sae import DeadLatents, IntervalSums, build
from saetui.spec.architectures import BY_K, TRANSCODERS
from saetui.training.allocator import keep_freed_memory
from saetui.training.gradient_step import accumulate
from saetui.training.tasks.bench import settled
from tests.benchmarks.taking_turns import take_turns


def main() -> None:
    """Steps on standard input."""
    architecture, state = sys.argv[1], sys.argv[6]
    d, latents, batch, k = map(int, sys.argv[2:6])
    keep_freed_memory()
    x = torch.randn(batch, d)
    if state == "settled":
        sae = settled(architecture, d, latents, k, x)
    else:
        options = {"k": k} if architecture in BY_K else {}
        sae = build(architecture, d, d, latents, torch.Generator().manual_seed(0), **options)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-9, fused=True)
    dead, sums = DeadLatents(latents, 10**9), IntervalSums(latents, d)
    target = torch.randn(batch, d) if architecture in TRANSCODERS else None
    for parameter in sae.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()

    fired = torch.zeros(())

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
        fired = losses.statistics.fired

    take_turns(step, lambda: float(fired.sum()) / batch)


if __name__ == "__main__":
    main()
