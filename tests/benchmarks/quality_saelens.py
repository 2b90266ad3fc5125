"""SAELens's part of `make bench-quality`, run with its Python: its own trainer, on rows scaled as it recommends.

Its rate has the same warm-up and decay as ours; everything else is its default.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    GatedTrainingSAE,
    GatedTrainingSAEConfig,
    JumpReLUTrainingSAE,
    JumpReLUTrainingSAEConfig,
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
    StandardTrainingSAE,
    StandardTrainingSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
)
from sae_lens.config import SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer

from tests.benchmarks.quality_data import NESTED, run


def train(material, family, asked, rate):
    plan, (_, d) = material.plan, material.train.shape
    sizes = {"d_in": d, "d_sae": plan["latents"]}
    if family == "topk":
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(k=int(asked), **sizes))
    elif family == "batch_topk":
        sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=int(asked), **sizes))
    elif family == "matryoshka":
        widths = [round(share * plan["latents"]) for share in NESTED]
        config = MatryoshkaBatchTopKTrainingSAEConfig(k=int(asked), matryoshka_widths=widths, **sizes)
        sae = MatryoshkaBatchTopKTrainingSAE(config)
    elif family == "jumprelu":
        config = JumpReLUTrainingSAEConfig(l0_coefficient=asked * d, l0_warm_up_steps=plan["steps"] // 20, **sizes)
        sae = JumpReLUTrainingSAE(config)
    elif family == "gated":
        config = GatedTrainingSAEConfig(l1_coefficient=asked * d, l1_warm_up_steps=plan["steps"] // 20, **sizes)
        sae = GatedTrainingSAE(config)
    else:
        warm_up = plan["steps"] // 20
        # Its error is a sum over coordinates, ours a mean.
        config = StandardTrainingSAEConfig(l1_coefficient=asked * d, l1_warm_up_steps=warm_up, **sizes)
        sae = StandardTrainingSAE(config)
    config = SAETrainerConfig(
        total_training_samples=plan["steps"] * plan["batch"],
        train_batch_size_samples=plan["batch"],
        lr=rate,
        lr_end=0.0,
        lr_warm_up_steps=plan["steps"] // 100,
        lr_decay_steps=plan["steps"] // 5,
        # A tenth of the run, as ours: its default of 1000 steps is most of it.
        dead_feature_window=plan["steps"] // 10,
    )
    scale = material.scale
    SAETrainer(config, sae, (rows * scale for rows in material.batches())).fit()

    def apply(rows):
        z = sae.encode(rows * scale)
        if family in ("batch_topk", "matryoshka"):
            # Its encoder keeps k of each batch, its export goes by the threshold: that is what is used.
            h = (rows * scale - sae.b_dec) @ sae.W_enc + sae.b_enc
            norms = sae.W_dec.norm(dim=1) if sae.cfg.rescale_acts_by_decoder_norm else 1.0
            z = h.relu() * norms
            z = z * (z > sae.topk_threshold)
        return (z.to_dense() if z.is_sparse else z), sae.decode(z) / scale

    return apply


if __name__ == "__main__":
    run(train)
