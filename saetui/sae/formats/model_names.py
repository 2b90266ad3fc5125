"""TransformerLens's short names of models, and the Hub ids that they stand for: what SAELens writes into metadata."""

from __future__ import annotations

_BY_FAMILY = {
    "pythia-": "EleutherAI",
    "gpt-neo-": "EleutherAI",
    "gpt-neox-": "EleutherAI",
    "gemma-": "google",
    "opt-": "facebook",
    "bloom-": "bigscience",
    "phi-": "microsoft",
    "stablelm-": "stabilityai",
    "Llama-3": "meta-llama",
}
"""Families whose short name is the Hub's without the organisation."""

_NAMES: dict[str, tuple[str, ...]] = {
    "gpt2": ("openai-community/gpt2", "gpt2"),
    "gpt2-small": ("openai-community/gpt2", "gpt2"),
    "gpt2-medium": ("openai-community/gpt2-medium", "gpt2-medium"),
    "gpt2-large": ("openai-community/gpt2-large", "gpt2-large"),
    "gpt2-xl": ("openai-community/gpt2-xl", "gpt2-xl"),
    "distillgpt2": ("distilbert/distilgpt2", "distilgpt2"),
    "distilgpt2": ("distilbert/distilgpt2", "distilgpt2"),
    "gpt-j-6B": ("EleutherAI/gpt-j-6b", "EleutherAI/gpt-j-6B"),
    "gpt-neo-125M": ("EleutherAI/gpt-neo-125m", "EleutherAI/gpt-neo-125M"),
    "mistral-7b": ("mistralai/Mistral-7B-v0.1",),
    "mistral-7b-instruct": ("mistralai/Mistral-7B-Instruct-v0.1",),
    "mixtral": ("mistralai/Mixtral-8x7B-v0.1",),
    "mixtral-8x7b": ("mistralai/Mixtral-8x7B-v0.1",),
    "mixtral-instruct": ("mistralai/Mixtral-8x7B-Instruct-v0.1",),
    "Llama-2-7b": ("meta-llama/Llama-2-7b-hf",),
    "Llama-2-7b-chat": ("meta-llama/Llama-2-7b-chat-hf",),
    "Llama-2-13b": ("meta-llama/Llama-2-13b-hf",),
    "Llama-2-13b-chat": ("meta-llama/Llama-2-13b-chat-hf",),
    "phi-3": ("microsoft/Phi-3-mini-4k-instruct",),
    "olmo-1b": ("allenai/OLMo-1B-hf",),
    "olmo-7b": ("allenai/OLMo-7B-hf",),
    "olmo-2-7b": ("allenai/OLMo-2-1124-7B",),
    "tiny-stories-1M": ("roneneldan/TinyStories-1M",),
    "tiny-stories-3M": ("roneneldan/TinyStories-3M",),
    "tiny-stories-8M": ("roneneldan/TinyStories-8M",),
    "tiny-stories-28M": ("roneneldan/TinyStories-28M",),
    "tiny-stories-33M": ("roneneldan/TinyStories-33M",),
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
    """The ids that a short name may have on the Hub, the likeliest first; none where the name is not known here.

    Args:
        name: as TransformerLens and SAELens write it: `gpt2-small`, `pythia-70m-deduped`, `gemma-2-2b`.
    """
    if name in _NAMES:
        return _NAMES[name]
    family = next((organisation for prefix, organisation in _BY_FAMILY.items() if name.startswith(prefix)), None)
    return () if family is None or "/" in name else (f"{family}/{name}",)
