"""What an SAE's metadata say about its model: its name, and what another tool changed in it before the SAE read it.

SAELens writes TransformerLens's short names of models, and passes `model_from_pretrained_kwargs` on to TransformerLens, which can
change a model so that it predicts the same with other activations inside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saetui.errors import InvalidInput

_KWARGS = "model_from_pretrained_kwargs"

_NO_EFFECT = frozenset(
    {
        # Changes to the model that do not show at the sites that saetui reads.
        "center_unembed", "fold_value_biases", "refactor_factored_attn_matrices", "first_n_layers", "n_ctx",
        # Where and how the model is computed; the rounding of a type does not show in the digits of an evaluation.
        "dtype", "torch_dtype", "device", "device_map", "n_devices", "max_memory", "move_to_device", "low_cpu_mem_usage",
        "attn_implementation", "default_padding_side", "default_prepend_bos",
        # Where the model comes from.
        "trust_remote_code", "token", "use_auth_token", "cache_dir", "local_files_only", "force_download",
    }
)  # fmt: skip


@dataclass(frozen=True)
class ModelChanges:
    """How the model that an SAE was trained on differs from the model of that name.

    Attributes:
        centred: whether the mean over the width is subtracted from everything written into the residual stream
            (`center_writing_weights`); TransformerLens does so only where the norms remove that mean anyway (LayerNorm).
        folded: whether the norms' weights and biases are moved into the layers that read them (`fold_ln`): the input of an MLP
            is then the norm's output before them.
        revision: of the model; None for its main one.
        stated: whether the metadata say anything about this.
    """

    centred: bool = False
    folded: bool = False
    revision: str | None = None
    stated: bool = True


def changes_to_model(metadata: Mapping[str, Any]) -> ModelChanges:
    """How the model was changed before the SAE read it.

    Raises:
        InvalidInput: in a way that saetui cannot repeat; the message names it.
    """
    kwargs = metadata.get(_KWARGS)
    if kwargs is None:
        return ModelChanges(stated=False)
    if not isinstance(kwargs, dict):
        raise InvalidInput(f"{_KWARGS} in the SAE's metadata is {json.dumps(kwargs)[:60]}.", "It must be an object.")
    done = {name: value for name, value in kwargs.items() if value not in (None, False) and name not in _NO_EFFECT}
    centred, folded = bool(done.pop("center_writing_weights", False)), bool(done.pop("fold_ln", False))
    revision = done.pop("revision", None)
    if done:
        shown = ", ".join(f"{name}: {json.dumps(value)[:40]}" for name, value in done.items())
        raise InvalidInput(
            f"The SAE was trained on a model that was loaded with {shown}, which saetui does not do.",
            f"Where that changes no activation, remove it from {_KWARGS} in the SAE's metadata.",
        )
    return ModelChanges(centred, folded, revision if isinstance(revision, str) else None)


def require_all_positions(metadata: Mapping[str, Any]) -> None:
    """Require that an SAE was trained on all positions of a context, with or without the first.

    Raises:
        InvalidInput: it was trained on some of them (`seqpos_slice`).
    """
    found = metadata.get("seqpos_slice")
    if found in (None, [], [None], [None, None], [0, None], [1, None], [None, None, None], [1, None, None]):
        return
    raise InvalidInput(
        f"The SAE was trained on the positions {json.dumps(found)[:60]} of its contexts alone (seqpos_slice); an evaluation "
        "reads all but the first.",
        "Remove seqpos_slice from the SAE's metadata to judge it on all of them.",
    )


_BY_FAMILY = {
    "pythia-": "EleutherAI", "gpt-neo-": "EleutherAI", "gpt-neox-": "EleutherAI", "gemma-": "google", "opt-": "facebook",
    "bloom-": "bigscience", "phi-": "microsoft", "stablelm-": "stabilityai", "Llama-3": "meta-llama",
}  # fmt: skip
"""Families whose short names are the Hub's without the organisation."""

_NAMES: dict[str, tuple[str, ...]] = {
    "gpt2": ("openai-community/gpt2", "gpt2"),
    "gpt2-small": ("openai-community/gpt2", "gpt2"),
    **{f"gpt2-{size}": (f"openai-community/gpt2-{size}", f"gpt2-{size}") for size in ("medium", "large", "xl")},
    "distillgpt2": ("distilbert/distilgpt2", "distilgpt2"),
    "distilgpt2": ("distilbert/distilgpt2", "distilgpt2"),
    "gpt-j-6B": ("EleutherAI/gpt-j-6b", "EleutherAI/gpt-j-6B"),
    "gpt-neo-125M": ("EleutherAI/gpt-neo-125m", "EleutherAI/gpt-neo-125M"),
    "mistral-7b": ("mistralai/Mistral-7B-v0.1",),
    "mistral-7b-instruct": ("mistralai/Mistral-7B-Instruct-v0.1",),
    "mixtral": ("mistralai/Mixtral-8x7B-v0.1",),
    "mixtral-8x7b": ("mistralai/Mixtral-8x7B-v0.1",),
    "mixtral-instruct": ("mistralai/Mixtral-8x7B-Instruct-v0.1",),
    **{f"Llama-2-{size}": (f"meta-llama/Llama-2-{size}-hf",) for size in ("7b", "7b-chat", "13b", "13b-chat")},
    "phi-3": ("microsoft/Phi-3-mini-4k-instruct",),
    "olmo-1b": ("allenai/OLMo-1B-hf",),
    "olmo-7b": ("allenai/OLMo-7B-hf",),
    "olmo-2-7b": ("allenai/OLMo-2-1124-7B",),
    **{f"tiny-stories-{size}": (f"roneneldan/TinyStories-{size}",) for size in ("1M", "3M", "8M", "28M", "33M")},
    "tiny-stories-1L-21M": ("roneneldan/TinyStories-1Layer-21M",),
    "tiny-stories-2L-33M": ("roneneldan/TinyStories-2Layers-33M",),
    "tiny-stories-instruct-33M": ("roneneldan/TinyStories-Instruct-33M",),
    **{
        f"qwen{family}-{size.lower()}": (f"Qwen/Qwen{family}-{size}",)
        for family, sizes in {
            "1.5": ("0.5B", "1.8B", "4B", "7B", "14B"),
            "2": ("0.5B", "1.5B", "7B"),
            "2.5": ("0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B"),
            "3": ("0.6B", "1.7B", "4B", "8B", "14B"),
        }.items()
        for size in sizes
    },
}


def hub_ids(name: str) -> tuple[str, ...]:
    """The ids that a short name may have on the Hub, the likeliest first; none where the name is unknown.

    `name`: as TransformerLens and SAELens write it: `gpt2-small`, `pythia-70m-deduped`, `gemma-2-2b`.
    """
    if name in _NAMES:
        return _NAMES[name]
    family = next((organisation for prefix, organisation in _BY_FAMILY.items() if name.startswith(prefix)), None)
    return () if family is None or "/" in name else (f"{family}/{name}",)
