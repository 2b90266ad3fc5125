"""Run with SAELens's Python: losses and gradients of its own training classes for given weights and one batch.

Argument: a directory with one case a subdirectory: `weights.safetensors` (the state, x, dead) and `case.json`
(architecture, config and coefficients, as SAELens names them); the answer goes beside them, to `gradients.safetensors`:
its losses, the gradient of each parameter, and its buffers as the step has left them.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import sys
from pathlib import Path

from sae_lens.registry import get_sae_training_class
from sae_lens.saes.sae import TrainStepInput
from safetensors.torch import load_file, save_file


def answer(directory: Path) -> None:
    case = json.loads((directory / "case.json").read_text())
    tensors = load_file(directory / "weights.safetensors")
    x, dead = tensors.pop("x"), tensors.pop("dead").bool()
    latents, d = tensors["W_dec"].shape
    sae_class, config_class = get_sae_training_class(case["architecture"])
    sae = sae_class(config_class(d_in=d, d_sae=latents, dtype="float32", device="cpu", **case["config"]))
    sae.load_state_dict(tensors)
    step = TrainStepInput(
        sae_in=x, dead_neuron_mask=dead, coefficients=case["coefficients"], n_training_steps=0, is_logging_step=False
    )
    output = sae.training_forward_pass(step)
    output.loss.backward()
    losses = {f"loss.{name}": value.detach().reshape(1) for name, value in output.losses.items()}
    gradients = {f"grad.{name}": parameter.grad.contiguous() for name, parameter in sae.named_parameters()}
    buffers = {f"buffer.{name}": value.reshape(1).float() for name, value in sae.named_buffers() if value.numel() == 1}
    save_file(losses | gradients | buffers, directory / "gradients.safetensors")


for path in Path(sys.argv[1]).iterdir():
    answer(path)
