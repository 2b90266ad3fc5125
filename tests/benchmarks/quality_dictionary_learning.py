"""dictionary_learning's part of `make bench-quality`, run with its Python: its own trainers, on rows of mean square norm 1, as it has them.

Its rate has the same warm-up and decay as ours; everything else is its default.
"""

# mypy: ignore-errors
# Reason: dictionary_learning is not installed where the types are checked.

from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.gdm import GatedSAETrainer
from dictionary_learning.trainers.jumprelu import JumpReluTrainer
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
from dictionary_learning.trainers.standard import StandardTrainer
from dictionary_learning.trainers.top_k import TopKTrainer

from tests.benchmarks.quality_data import NESTED, run

TARGETS = {0.0002: 120.0, 0.0006: 75.0, 0.0015: 45.0, 0.004: 25.0}
"""It steers to an L0 where the others weigh it: about the one that our weight comes to."""


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
        "seed": material.seed,
    }
    warm_up = {"sparsity_warmup_steps": steps // 20}
    if family in ("standard", "gated"):
        # Rows are √d smaller than ours and its error a sum: the same balance.
        kind = StandardTrainer if family == "standard" else GatedSAETrainer
        trainer = kind(l1_penalty=asked * d**0.5, **warm_up, **common)
    elif family == "jumprelu":
        trainer = JumpReluTrainer(target_l0=TARGETS[asked], **warm_up, **common)
        trainer.dead_feature_threshold = steps * plan["batch"] // 10
    elif family == "matryoshka":
        fractions = [high - low for low, high in zip((0, *NESTED), NESTED, strict=False)]
        trainer = MatryoshkaBatchTopKTrainer(
            k=int(asked), group_fractions=fractions, threshold_start_step=steps // 10, **common
        )
        trainer.dead_feature_threshold = steps * plan["batch"] // 10
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
