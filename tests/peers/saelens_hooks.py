"""Run with SAELens's Python: what hooks hold in the model classes that SAELens attaches SAEs to, and what attached SAEs give.

Argument: a directory with models of official names below `models/` (`models/EleutherAI/pythia-14m`; TransformerLens takes
local files only under such names), `tokens.safetensors`, and `requests.json`: objects with `model`, `kind`, `kwargs`, `hooks`,
and `sae`, the directory of an export to attach, or null. The answers go to `answers.safetensors`: `NUMBER HOOK` → the tensor;
for an SAE `NUMBER sae` → what it puts into the model. A hook that is not there, which is what add_sae and ActivationsStore
refuse, has no answer.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import os
import sys
from pathlib import Path

import torch
from sae_lens import SAE, HookedSAETransformer
from sae_lens.analysis.sae_transformer_bridge import SAETransformerBridge
from sae_lens.load_model import load_model
from safetensors.torch import load_file, save_file

LOADERS = {
    "HookedSAETransformer": lambda name, kwargs: HookedSAETransformer.from_pretrained(name, device="cpu", **kwargs),
    "no_processing": lambda name, kwargs: HookedSAETransformer.from_pretrained_no_processing(
        name, device="cpu", **kwargs
    ),
    "Bridge": lambda name, kwargs: SAETransformerBridge.boot_transformers(name, device="cpu"),
    "HookedTransformer": lambda name, kwargs: load_model("HookedTransformer", name, "cpu", kwargs),
    "AutoModelForCausalLM": lambda name, kwargs: load_model("AutoModelForCausalLM", name, "cpu"),
}


def answers_to(request: dict, tokens: torch.Tensor, root: Path) -> dict[str, torch.Tensor]:
    model = LOADERS[request["kind"]](request["model"], request["kwargs"])
    bridge = request["kind"] == "Bridge"
    found = {}
    for hook in request["hooks"]:
        held = model._resolve_hook_name(hook) if bridge else hook
        _, cache = model.run_with_cache(tokens, names_filter=[held], prepend_bos=False)
        if held in cache:
            found[hook] = cache[held].contiguous()
    if request["sae"] is not None:
        sae = SAE.load_from_disk(root / request["sae"], device="cpu")
        model.add_sae(sae)
        _, cache = model.run_with_cache(tokens, prepend_bos=False)
        target = sae.cfg.metadata.hook_name_out or sae.cfg.metadata.hook_name
        held = model._resolve_hook_name(target) if bridge else target
        found["sae"] = cache[f"{held}.hook_sae_output"].contiguous()
    return found


def main(root: Path) -> None:
    tokens = load_file(root / "tokens.safetensors")["tokens"]
    os.chdir(root / "models")
    answers = {}
    for number, request in enumerate(json.loads((root / "requests.json").read_text())):
        for hook, tensor in answers_to(request, tokens, root).items():
            answers[f"{number} {hook}"] = tensor
    save_file(answers, root / "answers.safetensors")


with torch.no_grad():
    main(Path(sys.argv[1]))
