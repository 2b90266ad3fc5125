"""dictionary_learning's part of `make bench-quality`, run with its Python: its own trainers, on rows of mean square norm 1, as it has them.

Its rate has the same warm-up and decay as ours; everything else is its default.
"""

# mypy: ignore-errors
# Reason: dictionary_learning is not installed where the types are checked.

from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.standard import StandardTrainer
from dictionary_learning.trainers.top_k import TopKTrainer

from tests.benchmarks.quality_data import run


def train(material, family, asked, rate):
    plan, (_, d) = material.plan, material.train.shape
    steps = plan["steps"]
    common = {
        "steps": steps,
        "activation_dim": d,
        "dict_size": plan["latents"],
        "layer": 2,
        "lm_name": "bundled:tiny",
        "lr": rate,
        "warmup_steps": steps // 100,
        "decay_start": steps - steps // 5,
        "device": "cpu",
        "seed": plan["seed"],
    }
    if family == "standard":
        # Rows are √d smaller than ours and its error a sum: the same balance.
        trainer = StandardTrainer(l1_penalty=asked * d**0.5, sparsity_warmup_steps=steps // 20, **common)
    else:
        kind = TopKTrainer if family == "topk" else BatchTopKTrainer
        trainer = kind(k=int(asked), threshold_start_step=steps // 10, **common)
        # A tenth of the run, as ours: its default of ten million tokens is more than all of it.
        trainer.dead_feature_threshold = steps * plan["batch"] // 10
    scale = material.scale / d**0.5
    for step, rows in zip(range(steps), material.batches()):
        trainer.update(step, rows * scale)

    def apply(rows):
        z = trainer.ae.encode(rows * scale)
        return z, trainer.ae.decode(z) / scale

    return apply


if __name__ == "__main__":
    run(train)
