"""sparsify, for tests/benchmarks/step.py, run with its own Python: its coder, and the step of its trainer around it."""

# mypy: ignore-errors
# Reason: sparsify is not installed where the types are checked.

import sys

import torch
from sparsify import SparseCoder, SparseCoderConfig

from tests.benchmarks.taking_turns import take_turns

d, latents, batch, k = map(int, sys.argv[2:6])
torch.manual_seed(0)
coder = SparseCoder(d, SparseCoderConfig(num_latents=latents, k=k), device="cpu")
optimizer = torch.optim.Adam(coder.parameters(), lr=1e-9)
x = torch.randn(batch, d)
fired = torch.zeros(latents, dtype=torch.bool)
for parameter in coder.parameters():
    parameter.grad = torch.zeros_like(parameter)
optimizer.step()


active = torch.zeros(0)


def step():
    global active
    coder.set_decoder_norm_to_unit_norm()
    output = coder(x, dead_mask=None)
    output.fvu.backward()
    active = output.latent_acts.detach()
    fired[output.latent_indices.flatten()] = True
    coder.remove_gradient_parallel_to_decoder_directions()
    optimizer.step()
    optimizer.zero_grad()


take_turns(step, lambda: float((active > 0).sum()) / batch)
