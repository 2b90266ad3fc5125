"""Run with SAELens's Python: losses and gradients of its standard, jumprelu and gated training for given weights.

Argument: a directory with one case a subdirectory: `weights.safetensors` (the parameters, x, dead) and `case.json`
(architecture, coefficient, and fields of SAELens's configuration); the answer goes beside them, to `gradients.safetensors`.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import sys
from pathlib import Path

from sae_lens.saes.gated_sae import GatedTrainingSAE, GatedTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.sae import TrainStepInput
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from safetensors.torch import load_file, save_file

CLASSES = {
    "standard": (StandardTrainingSAE, StandardTrainingSAEConfig, "l1"),
    "jumprelu": (JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig, "l0"),
    "gated": (GatedTrainingSAE, GatedTrainingSAEConfig, "l1"),
}


def answer(directory: Path) -> None:
    case = json.loads((directory / "case.json").read_text())
    tensors = load_file(directory / "weights.safetensors")
    x, dead = tensors.pop("x"), tensors.pop("dead").bool()
    latents, d = tensors["W_dec"].shape
    trained, configuration, name = CLASSES[case["architecture"]]
    sae = trained(configuration(d_in=d, d_sae=latents, dtype="float32", device="cpu", **case["config"]))
    sae.load_state_dict(tensors)
    step = TrainStepInput(
        sae_in=x,
        dead_neuron_mask=dead,
        coefficients={name: case["coefficient"]},
        n_training_steps=0,
        is_logging_step=False,
    )
    output = sae.training_forward_pass(step)
    output.loss.backward()
    losses = {f"loss.{name}": value.detach().reshape(1) for name, value in output.losses.items()}
    gradients = {f"grad.{name}": parameter.grad.contiguous() for name, parameter in sae.named_parameters()}
    save_file(losses | gradients, directory / "gradients.safetensors")


for path in Path(sys.argv[1]).iterdir():
    answer(path)
