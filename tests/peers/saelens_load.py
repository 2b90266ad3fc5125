"""Run with SAELens's Python: loads our exports and applies them, and saves SAEs of its own for us to load.

Argument: a directory with `activations.safetensors` (raw activations by hook name) and our exports below `ours/`. The
answers go to `results.safetensors` and `facts.json`; its own SAEs below `theirs/`, with what they compute in
`theirs.safetensors`.
"""

# mypy: ignore-errors
# Reason: SAELens is not installed where the types are checked.

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from sae_lens import SAE, ActivationsStore, HookedSAETransformer
from sae_lens.registry import get_sae_class
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.sae import SAEMetadata
from safetensors.torch import load_file, save_file
from transformer_lens import HookedTransformerConfig

WANTED_BY_STORE = (
    "model_name",
    "model_class_name",
    "model_from_pretrained_kwargs",
    "hook_name",
    "hook_head_index",
    "context_size",
    "prepend_bos",
    "dataset_path",
    "exclude_special_tokens",
    "seqpos_slice",
)
THEIRS = {
    "standard": {},
    "standard_uncentred": {"apply_b_dec_to_input": False},
    "standard_layer_norm": {"normalize_activations": "layer_norm"},
    "topk": {"k": 6, "rescale_acts_by_decoder_norm": False},
    "topk_rescaled": {"k": 6, "rescale_acts_by_decoder_norm": True},
    "jumprelu": {},
    "gated": {},
    "gated_uncentred": {"apply_b_dec_to_input": False},
    "transcoder": {"apply_b_dec_to_input": False},
    "skip_transcoder": {"apply_b_dec_to_input": False},
    "jumprelu_transcoder": {"apply_b_dec_to_input": False},
    "jumprelu_skip_transcoder": {"apply_b_dec_to_input": False},
}
LATENTS = 80


def main(root: Path) -> None:
    activations = load_file(root / "activations.safetensors")
    apply_ours(root, activations)
    save_theirs(root, activations["blocks.2.hook_resid_post"])


def apply_ours(root: Path, activations: dict[str, torch.Tensor]) -> None:
    results, facts = {}, {}
    for directory in sorted((root / "ours").iterdir()):
        sae = SAE.load_from_disk(directory, device="cpu")
        metadata = sae.cfg.metadata
        x = activations[metadata["hook_name"]]
        with torch.no_grad():
            z = sae.encode(x)
            x_hat = sae(x)
        results[f"{directory.name}.z"] = (z.to_dense() if z.is_sparse else z).contiguous()
        results[f"{directory.name}.x_hat"] = x_hat.contiguous()
        facts[directory.name] = {"class": type(sae).__name__, "hook_name_out": metadata["hook_name_out"]} | {
            key: metadata[key] for key in WANTED_BY_STORE if key in metadata
        }
        if directory.name in ("topk", "transcoder"):
            facts[directory.name]["stored"] = list(stored(sae).shape)
    save_file(results, root / "results.safetensors")
    (root / "facts.json").write_text(json.dumps(facts))


def stored(sae: SAE) -> torch.Tensor:
    """A batch of activations that SAELens's own store reads for an SAE, of a small random model."""
    model = HookedSAETransformer(
        HookedTransformerConfig(
            n_layers=3, d_model=sae.cfg.d_in, n_ctx=32, d_head=16, d_mlp=32, d_vocab=50, act_fn="relu", device="cpu",
            normalization_type="LN",
        )
    )  # fmt: skip
    tokens = Dataset.from_list([{"tokens": [(7 * row + column) % 50 for column in range(32)]} for row in range(64)])
    store = ActivationsStore.from_sae(
        model, sae, tokens, streaming=False, train_batch_size_tokens=64, n_batches_in_buffer=2,
        store_batch_size_prompts=2, total_tokens=512,
    )  # fmt: skip
    return store.get_activations(store.get_batch_tokens())


def save_theirs(root: Path, x: torch.Tensor) -> None:
    torch.manual_seed(0)
    answers = {}
    for name, options in THEIRS.items():
        architecture = next(known for known in sorted(KNOWN, key=len, reverse=True) if name.startswith(known))
        kind, config = get_sae_class(architecture)
        sizes = {"d_in": x.shape[1], "d_sae": LATENTS}
        if "transcoder" in name:
            sizes["d_out"] = x.shape[1]
        sae = kind(config(**sizes, **options))
        stir(sae)
        sae.cfg.metadata = SAEMetadata(hook_name="blocks.2.hook_resid_post", model_name="gpt2")
        sae.save_model(root / "theirs" / name)
        with torch.no_grad():
            z = sae.encode(x)
            answers[f"{name}.z"] = (z.to_dense() if z.is_sparse else z).contiguous()
            answers[f"{name}.x_hat"] = sae(x).contiguous()
    # A checkpoint of a training: its own names, and the threshold as one number.
    training = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=x.shape[1], d_sae=LATENTS, k=6))
    stir(training)
    training.topk_threshold.fill_(0.4)
    training.save_model(root / "theirs" / "batchtopk_checkpoint")
    training.save_inference_model(root / "inference")
    inference = SAE.load_from_disk(root / "inference", device="cpu")
    with torch.no_grad():
        answers["batchtopk_checkpoint.z"] = inference.encode(x).contiguous()
        answers["batchtopk_checkpoint.x_hat"] = inference(x).contiguous()
    save_file(answers, root / "theirs.safetensors")


KNOWN = (
    "standard",
    "topk",
    "jumprelu",
    "gated",
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)


def stir(sae: torch.nn.Module) -> None:
    """Leaves no parameter at its start; thresholds on both sides of 0."""
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


main(Path(sys.argv[1]))
