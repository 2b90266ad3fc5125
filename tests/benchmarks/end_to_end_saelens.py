"""SAELens, for tests/benchmarks/end_to_end.py, run with its own Python: its runner on a random model of the same shape.

Its settings are its defaults, but for the sizes. A line of JSON: tokens a second, once the first steps are over.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import sys
import time

import torch
from datasets import Dataset
from sae_lens import LanguageModelSAERunnerConfig, LanguageModelSAETrainingRunner, LoggingConfig, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from transformer_lens import HookedTransformer, HookedTransformerConfig

plan, layer = json.loads(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
model = HookedTransformer(
    HookedTransformerConfig(
        n_layers=plan["layers"],
        d_model=plan["d"],
        n_ctx=plan["context"],
        d_head=64,
        n_heads=plan["d"] // 64,
        d_mlp=4 * plan["d"],
        d_vocab=plan["vocabulary"],
        act_fn="gelu_new",
        normalization_type="LN",
        device="cpu",
    )
)
contexts = plan["peer_tokens"] // plan["context"] + 4 * plan["batch"]
rows = torch.randint(0, plan["vocabulary"], (contexts, plan["context"])).tolist()
config = LanguageModelSAERunnerConfig(
    sae=TopKTrainingSAEConfig(d_in=plan["d"], d_sae=plan["latents"], k=plan["k"]),
    model_name="random",
    hook_name=f"blocks.{layer}.hook_resid_post",
    dataset_path="random",
    streaming=False,
    context_size=plan["context"],
    # Its default of 20 contexts is less than one batch.
    n_batches_in_buffer=4 * plan["batch"] // plan["context"],
    training_tokens=plan["peer_tokens"],
    train_batch_size_tokens=plan["batch"],
    lr=plan["learning_rate"],
    device="cpu",
    logger=LoggingConfig(log_to_wandb=False),
    output_path=None,
    checkpoint_path=None,
    verbose=False,
)
moments = []
plain_step = SAETrainer.step


def step(self, *arguments, **keywords):
    moments.append(time.perf_counter())
    return plain_step(self, *arguments, **keywords)


SAETrainer.step = step
LanguageModelSAETrainingRunner(config, override_dataset=Dataset.from_dict({"tokens": rows}), override_model=model).run()
steady = moments[len(moments) // 4 :]
print(json.dumps({"tokens_per_second": (len(steady) - 1) * plan["batch"] / (steady[-1] - steady[0])}))
