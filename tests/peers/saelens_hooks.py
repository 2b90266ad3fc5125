"""Run with SAELens's Python: what the hooks that our exports name hold, in each model class that SAELens attaches SAEs to.

Argument: a directory with models of official names below `models/` (`models/EleutherAI/pythia-14m`; TransformerLens takes
local files only under such names) and `cases.json`: for each model the metadata of some exports. The answers go to
`hooks.safetensors`: `MODEL HOOK CLASS` → the tensor for the tokens in `tokens.safetensors`; what a class has not, to
`refused.json`.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import os
import sys
from pathlib import Path

from sae_lens import HookedSAETransformer
from sae_lens.analysis.sae_transformer_bridge import SAETransformerBridge
from sae_lens.load_model import load_model
from safetensors.torch import load_file, save_file


def classes(name: str, metadata: dict) -> dict:
    """SAELens's ways to load a model for an SAE, each as the metadata say."""
    kwargs = metadata["model_from_pretrained_kwargs"]
    return {
        "HookedSAETransformer": lambda: HookedSAETransformer.from_pretrained(name, device="cpu", **kwargs),
        "no_processing": lambda: HookedSAETransformer.from_pretrained_no_processing(name, device="cpu"),
        "Bridge": lambda: SAETransformerBridge.boot_transformers(name, device="cpu"),
        "HookedTransformer": lambda: load_model("HookedTransformer", name, "cpu", kwargs),
        "AutoModelForCausalLM": lambda: load_model("AutoModelForCausalLM", name, "cpu"),
    }


def main(root: Path) -> None:
    tokens = load_file(root / "tokens.safetensors")["tokens"]
    cases = json.loads((root / "cases.json").read_text())
    os.chdir(root / "models")
    answers, refused = {}, []
    for name, found in cases.items():
        for kind, load in classes(name, found[0]).items():
            model = load()
            for metadata in found:
                hook = metadata["hf_hook_name" if kind == "AutoModelForCausalLM" else "hook_name"]
                held = model._resolve_hook_name(hook) if kind == "Bridge" else hook
                key = f"{name} {metadata['hook_name']} {kind}"
                _, cache = model.run_with_cache(tokens, names_filter=[held], prepend_bos=False)
                # A hook that is not there is what add_sae and ActivationsStore refuse.
                if held in cache:
                    answers[key] = cache[held].contiguous()
                else:
                    refused.append(key)
    save_file(answers, root / "hooks.safetensors")
    (root / "refused.json").write_text(json.dumps(refused))


main(Path(sys.argv[1]))
