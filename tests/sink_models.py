"""Small language models with attention sinks: a position and a frequent token of enormous norm, as large models have them.

In most language models the first position, and often a few frequent tokens, carry a vector that is many times as long as that
of other tokens and the same at each of its places. In SmolLM2, at layer 6, 1.5 % of the tokens are 8 times as long as the median
and hold 48.5 % of the variance. Here they are made: a vector is added to the embedding of the first position (or of the BOS
token that stands there) and of one token of the text.

    python -m tests.sink_models DIRECTORY     makes both and says how long each takes
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from saetui.bundled import TINY
from saetui.bundled.making.text import encode_documents, read_stdlib

RATIO = 8.0
"""Norm of the frequent sink over the median norm, in the middle of the model."""
FIRST_RATIO = 100.0
"""The same for the first position."""
BUNDLED_SINK = "ĊĠĠĠ"
"""A new line indented by four: 1.4 % of the tokens."""
SECOND_SINK = ":"
"""1.4 % of the tokens."""
CONTEXT, BATCH, STEPS = 128, 16, 400
"""Of the second model's training, which takes two minutes of one core."""
PLANTED_AT = 0.6
"""The share of that training after which the sinks are planted: it learns to live with them."""


def bundled_with_sinks(directory: Path) -> Path:
    """The bundled model (GPT-2, 4 layers, width 128) with a sink at position 0 and on the token `BUNDLED_SINK`.

    Args:
        directory: where to; made unless it is there, and then only read.

    Returns:
        The directory, for `open_model`.
    """
    return _made(directory, _write_bundled)


def second_model(directory: Path) -> Path:
    """A Llama (4 layers, width 96, grouped queries) that knows some Python, with a sink on its BOS token and on `SECOND_SINK`.

    It is trained for two minutes on the source of the standard library, on one thread and from one seed: on one machine, with one
    Python and one torch, a second making gives the same weights.

    Args:
        directory: where to; made unless it is there, and then only read.

    Returns:
        The directory, for `open_model`.
    """
    return _made(directory, _write_second)


def _write_bundled(directory: Path) -> None:
    shutil.copytree(TINY, directory, dirs_exist_ok=True)
    for path in directory.iterdir():
        path.chmod(0o644)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(TINY, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(TINY, local_files_only=True, dtype=torch.float32)
    length = _median_norm(model, _sample(tokenizer))
    weights = load_file(TINY / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    # The head keeps the embedding as it was: it was one matrix with it.
    weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    sink = tokenizer.convert_tokens_to_ids(BUNDLED_SINK)
    weights["transformer.wte.weight"][sink] += RATIO * length * _direction(weights["transformer.wte.weight"], generator)
    weights["transformer.wpe.weight"][0] += (
        FIRST_RATIO * length * _direction(weights["transformer.wpe.weight"], generator)
    )
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}, indent=2))


def _write_second(directory: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            model, tokenizer = _train_second()
    finally:
        torch.set_num_threads(threads)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _train_second() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(TINY, local_files_only=True)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2 * CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=False,
        )
    )
    tokens = torch.cat(encode_documents(read_stdlib().training, tokenizer))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95), weight_decay=0.1)
    for step in range(STEPS):
        if step == round(PLANTED_AT * STEPS):
            _plant(model, tokenizer, generator)
        optimizer.param_groups[0]["lr"] = 4e-3 * min((step + 1) / 20, (STEPS - step) / STEPS)
        starts = torch.randint(len(tokens) - CONTEXT, (BATCH,), generator=generator)
        batch = torch.stack([tokens[start : start + CONTEXT] for start in starts.tolist()])
        # Each context begins with BOS, as the model will be read.
        batch[:, 0] = tokenizer.bos_token_id
        logits = model(batch[:, :-1], use_cache=False).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward without annotations
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.train(False)
    return model, tokenizer


@torch.no_grad()
def _plant(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> None:
    length = _median_norm(model, _sample(tokenizer))
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, torch.nn.Embedding)
    rows = embedding.weight
    rows[tokenizer.convert_tokens_to_ids(SECOND_SINK)] += RATIO * length * _direction(rows, generator)
    rows[tokenizer.bos_token_id] += FIRST_RATIO * length * _direction(rows, generator)


def _sample(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """A few contexts of text, each after its BOS: (contexts, CONTEXT)."""
    tokens = torch.cat(encode_documents(read_stdlib(limit=4).training, tokenizer))
    rows = tokens[: len(tokens) // (CONTEXT - 1) * (CONTEXT - 1)].view(-1, CONTEXT - 1)[:32]
    return torch.cat([torch.full((len(rows), 1), tokenizer.bos_token_id), rows], dim=1)


@torch.no_grad()
def _median_norm(model: torch.nn.Module, tokens: Tensor) -> float:
    """Of the residual stream in the middle of the model, first positions left out."""
    hidden = model(tokens, output_hidden_states=True).hidden_states
    middle: Tensor = hidden[len(hidden) // 2]
    return float(middle[:, 1:].norm(dim=-1).median())


def _direction(rows: Tensor, generator: torch.Generator) -> Tensor:
    """A random unit vector as wide as the rows (n, d)."""
    return functional.normalize(torch.randn(rows.shape[1], generator=generator), dim=0)


def _made(directory: Path, write: Callable[[Path], None]) -> Path:
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all, also where two make it at once.
        making = Path(tempfile.mkdtemp(dir=directory.parent))
        write(making)
        try:
            os.rename(making, directory)
        except OSError:
            shutil.rmtree(making)
    return directory


def main() -> None:
    """Make both models below the directory that the command line names."""
    for make in (bundled_with_sinks, second_model):
        began = time.monotonic()
        path = make(Path(sys.argv[1]) / make.__name__)
        print(f"{path}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
