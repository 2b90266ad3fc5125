"""dictionary_learning, for tests/benchmarks/step.py, run with its own Python: its trainers' own update."""

# mypy: ignore-errors
# Reason: dictionary_learning is not installed where the types are checked.

import sys

import torch
from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.standard import StandardTrainer
from dictionary_learning.trainers.top_k import TopKTrainer

from tests.benchmarks.taking_turns import take_turns

architecture, state = sys.argv[1], sys.argv[6]
d, latents, batch, k = map(int, sys.argv[2:6])
common = {
    "steps": 10**6, "activation_dim": d, "dict_size": latents, "layer": 0, "lm_name": "none", "lr": 1e-9, "device": "cpu",
    "seed": 0,
}  # fmt: skip
if architecture == "standard":
    trainer = StandardTrainer(**common)
    if state == "settled":
        with torch.no_grad():
            trainer.ae.encoder.bias.copy_(-2.33 * trainer.ae.encoder.weight.norm(dim=1))
else:
    trainer = (TopKTrainer if architecture == "topk" else BatchTopKTrainer)(k=k, **common)
x = torch.randn(batch, d)
turns = iter(range(10**6))


@torch.no_grad()
def l0():
    """Of the same batch once more, since the trainer keeps its latents to itself; its rate is too small to change them."""
    chosen_by_k = {} if architecture == "standard" else {"use_threshold": False}
    return float((trainer.ae.encode(x, **chosen_by_k) > 0).sum()) / batch


take_turns(lambda: trainer.update(next(turns), x), l0)
