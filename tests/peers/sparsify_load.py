"""Run with sparsify's Python: loads exports and applies them.

Argument: a directory with `activations.safetensors` (raw activations by export) and our exports below `ours/`; what they
compute goes to `results.safetensors`.
"""

# mypy: ignore-errors
# Reason: sparsify is not installed where the types are checked.

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sparsify import SparseCoder

root = Path(sys.argv[1])
activations = load_file(root / "activations.safetensors")
results = {}
for directory in sorted((root / "ours").iterdir()):
    x = activations[directory.name]
    coder = SparseCoder.load_from_disk(directory, device="cpu")
    with torch.no_grad():
        values, indices, _ = coder.encode(x)
        results[f"{directory.name}.z"] = torch.zeros(len(x), coder.num_latents).scatter(1, indices, values)
        results[f"{directory.name}.x_hat"] = coder(x, torch.zeros_like(x)).sae_out.contiguous()
    # Its own save, for saetui to read.
    coder.save_to_disk(root / "theirs" / directory.name)
save_file(results, root / "results.safetensors")
