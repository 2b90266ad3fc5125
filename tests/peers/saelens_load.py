"""Run with SAELens's Python: loads exports, applies them, and looks at what its ActivationsStore wants of them.

Arguments: a directory with `activations.safetensors` (x) and one export a subdirectory; results go beside them.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import sys
from pathlib import Path

import torch
from sae_lens import SAE
from safetensors.torch import load_file, save_file

root = Path(sys.argv[1])
x = load_file(root / "activations.safetensors")["x"]
results = {}
facts = {}
for directory in sorted(path for path in root.iterdir() if path.is_dir()):
    sae = SAE.load_from_disk(directory, device="cpu")
    with torch.no_grad():
        z = sae.encode(x)
        x_hat = sae.decode(z)
    if z.is_sparse:
        z = z.to_dense()
    results[f"{directory.name}.z"] = z.contiguous()
    results[f"{directory.name}.x_hat"] = x_hat.contiguous()
    metadata = sae.cfg.metadata
    facts[directory.name] = {"class": type(sae).__name__} | {
        key: metadata[key]
        for key in (
            "model_name",
            "model_class_name",
            "model_from_pretrained_kwargs",
            "hook_name",
            "hook_head_index",
            "context_size",
            "prepend_bos",
            "dataset_path",
            "exclude_special_tokens",
            "seqpos_slice",
        )
        if key in metadata
    }
save_file(results, root / "results.safetensors")
(root / "facts.json").write_text(json.dumps(facts))
