"""Run with dictionary_learning's Python: loads exports with its own loader and applies them.

Argument: a directory with `activations.safetensors` (raw activations by export) and our exports below `ours/`; what they
compute goes to `results.safetensors`.
"""

# mypy: ignore-errors
# Reason: dictionary_learning is not installed where the types are checked.

import sys
from pathlib import Path

import torch
from dictionary_learning.utils import load_dictionary
from safetensors.torch import load_file, save_file

root = Path(sys.argv[1])
activations = load_file(root / "activations.safetensors")
results = {}
for directory in sorted((root / "ours").iterdir()):
    x = activations[directory.name]
    dictionary, _ = load_dictionary(str(directory), "cpu")
    with torch.no_grad():
        z = dictionary.encode(x)
        results[f"{directory.name}.z"] = z.contiguous()
        results[f"{directory.name}.x_hat"] = dictionary.decode(z).contiguous()
save_file(results, root / "results.safetensors")
