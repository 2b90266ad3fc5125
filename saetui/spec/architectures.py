"""The architectures: their names, a summary of each, and what depends on the choice."""

from __future__ import annotations

SUMMARIES: dict[str, str] = {
    "standard": "a ReLU encoder and an L1 penalty: L0 is what comes out",
    "topk": "the k largest activations of each token: L0 is what you ask for",
    "batch_topk": "k activations a token on average over the batch, so that hard tokens get more",
    "jumprelu": "a learned threshold for each latent and a penalty on L0 itself",
    "gated": "one path says which latents are active, another how strongly, so that L1 shrinks nothing",
    "matryoshka": "batch_topk whose first latents must also do alone: general features first, finer ones after",
    "skip": "standard with a share of the input copied to the output; judged without that share, and not exported",
    "transcoder": "reads what enters an MLP and predicts what leaves it",
    "skip_transcoder": "a transcoder with a linear path beside it",
}
ARCHITECTURES = tuple(SUMMARIES)

TRANSCODERS = ("transcoder", "skip_transcoder")
BY_L1 = ("standard", "gated", "skip", *TRANSCODERS)
BY_K = ("topk", "batch_topk", "matryoshka", *TRANSCODERS)

RELU = ("standard", "jumprelu", "gated", "skip")
"""Ghost gradients can revive their dead latents."""
RESAMPLED = (*RELU, *TRANSCODERS)
"""Their dead latents can be resampled; those of transcoders only with an L1 penalty."""
TIED = ("standard", "skip")
"""Their encoder can be the transposed decoder."""

HOOK_POINTS = ("resid_pre", "resid_post", "mlp_in", "mlp_out", "attn_out")
TRANSCODER_INPUT, TRANSCODER_TARGET = "mlp_in", "mlp_out"


def default_hook_points(architecture: str) -> tuple[str, ...]:
    """The hook points where the spec names none: for a transcoder the MLP's input, for others the layer's output."""
    return (TRANSCODER_INPUT,) if architecture in TRANSCODERS else ("resid_post",)


def allowed_hook_points(architecture: str) -> tuple[str, ...]:
    """The hook points that an architecture can read. A transcoder's site has the name of its input; its target is the `mlp_out`
    of the same layer."""
    return (TRANSCODER_INPUT,) if architecture in TRANSCODERS else HOOK_POINTS
