"""Run with SAELens's Python by `make bench`: one training step each time a line arrives, its milliseconds as the answer."""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import sys
import time

import torch
from sae_lens import StandardTrainingSAE, StandardTrainingSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.saes.sae import TrainStepInput

architecture, (d, latents, batch, k) = sys.argv[1], map(int, sys.argv[2:6])
if architecture == "topk":
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=d, d_sae=latents, k=k, normalize_activations="none"))
else:
    sae = StandardTrainingSAE(StandardTrainingSAEConfig(d_in=d, d_sae=latents, l1_coefficient=d * 1e-3))
optimizer = torch.optim.Adam(sae.parameters(), lr=1e-4)
x = torch.randn(batch, d)
silent = torch.zeros(latents)
coefficients = {name: float(getattr(value, "value", value)) for name, value in sae.get_coefficients().items()}

for _ in sys.stdin:
    began = time.perf_counter()
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
        silent += 1
        silent[(output.feature_acts.to_dense() > 0).float().sum(0) > 0] = 0
    optimizer.zero_grad()
    output.loss.backward()
    torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
    optimizer.step()
    print((time.perf_counter() - began) * 1000, flush=True)
