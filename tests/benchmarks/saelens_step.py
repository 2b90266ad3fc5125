"""SAELens, for tests/benchmarks/step.py, run with its own Python: its training pass, clipping, its Adam, its dead counters."""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import sys

import sae_lens
import torch
from sae_lens.saes.sae import TrainStepInput

from tests.benchmarks.taking_turns import take_turns

architecture, state = sys.argv[1], sys.argv[6]
d, latents, batch, k = map(int, sys.argv[2:6])
CLASSES = {
    "standard": ("StandardTrainingSAE", {"l1_coefficient": d * 1e-3}),
    "jumprelu": ("JumpReLUTrainingSAE", {"l0_coefficient": 1e-3}),
    "gated": ("GatedTrainingSAE", {"l1_coefficient": d * 1e-3}),
    "topk": ("TopKTrainingSAE", {"k": k}),
    "batch_topk": ("BatchTopKTrainingSAE", {"k": k}),
    "matryoshka": (
        "MatryoshkaBatchTopKTrainingSAE",
        {"k": k, "matryoshka_widths": [latents // 16, latents // 8, latents // 4, latents // 2, latents]},
    ),
}
name, options = CLASSES[architecture]
torch.manual_seed(0)
sae = getattr(sae_lens, name)(
    getattr(sae_lens, f"{name}Config")(d_in=d, d_sae=latents, normalize_activations="none", **options)
)
if state == "settled" and architecture in ("standard", "jumprelu", "gated"):
    with torch.no_grad():
        scale = sae.W_enc.norm(dim=0)
        bias = sae.b_gate if architecture == "gated" else sae.b_enc
        threshold = sae.threshold if architecture == "jumprelu" else 0.0
        # 1 % of unit-normal values are above 2.33.
        bias.copy_(threshold - 2.33 * scale)
optimizer = torch.optim.Adam(sae.parameters(), lr=1e-9)
x = torch.randn(batch, d)
silent = torch.zeros(latents)
fired = torch.zeros(latents)
coefficients = {key: float(getattr(value, "value", value)) for key, value in sae.get_coefficients().items()}
for parameter in sae.parameters():
    parameter.grad = torch.zeros_like(parameter)
optimizer.step()


def step():
    global fired
    output = sae.training_forward_pass(
        TrainStepInput(
            sae_in=x,
            coefficients=coefficients,
            dead_neuron_mask=(silent > 1000).bool(),
            n_training_steps=0,
            is_logging_step=False,
        )
    )
    with torch.no_grad():
        silent.add_(1)
        fired = (output.feature_acts.to_dense() > 0).float().sum(0)
        silent[fired > 0] = 0
    optimizer.zero_grad()
    output.loss.backward()
    torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
    optimizer.step()


take_turns(step, lambda: float(fired.sum()) / batch)
