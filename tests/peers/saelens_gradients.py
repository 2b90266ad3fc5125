"""Run with SAELens's Python: losses and gradients of its own training classes for given weights and one batch.

Argument: a directory with one case a subdirectory: `weights.safetensors` (W_enc, W_dec, b_enc, b_dec, x, dead) and
`case.json` (architecture, k, coefficient); the answer goes beside them, to `gradients.safetensors`.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import sys
from pathlib import Path

from sae_lens.saes.sae import TrainStepInput
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from safetensors.torch import load_file, save_file


def answer(directory: Path) -> None:
    case = json.loads((directory / "case.json").read_text())
    tensors = load_file(directory / "weights.safetensors")
    x, dead = tensors.pop("x"), tensors.pop("dead").bool()
    latents, d = tensors["W_dec"].shape
    shape = {"d_in": d, "d_sae": latents, "dtype": "float32", "device": "cpu"}
    coefficients = {}
    if case["architecture"] == "standard":
        sae = StandardTrainingSAE(StandardTrainingSAEConfig(l1_coefficient=case["coefficient"], **shape))
        coefficients["l1"] = case["coefficient"]
    else:
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(k=case["k"], aux_loss_coefficient=case["coefficient"], **shape))
    sae.load_state_dict(tensors)
    step = TrainStepInput(
        sae_in=x, dead_neuron_mask=dead, coefficients=coefficients, n_training_steps=0, is_logging_step=False
    )
    output = sae.training_forward_pass(step)
    output.loss.backward()
    losses = {f"loss.{name}": value.detach().reshape(1) for name, value in output.losses.items()}
    gradients = {f"grad.{name}": parameter.grad.contiguous() for name, parameter in sae.named_parameters()}
    save_file(losses | gradients, directory / "gradients.safetensors")


for path in Path(sys.argv[1]).iterdir():
    answer(path)
