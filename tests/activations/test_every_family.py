"""One family of each kind is read rightly; `python -m tests.activations.every_family` tries all that there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CONFIG_MAPPING, PreTrainedTokenizerFast

from .every_family import describe
from .families import OLD

KINDS = {
    # A number of layers that the family makes something else of: a factor, a head, a list of kinds.
    "minicpm3": "ok: adds up with factors [0.7]; predicts",
    "esmc": "ok: adds up with factors [3.0]; does not predict",
    "esm": "ok: adds up; does not predict",
    "gemma4_text": "ok: attn_out alone; predicts",
    "recurrent_gemma": "ok: adds up; predicts",
    # A factor, given by the configuration.
    "granite": "ok: adds up with factors [0.22]; predicts",
    "granitemoe": "ok: adds up with factors [0.22]; predicts",
    # A stream that is scaled, a second part beside the MLP.
    "minimax": "ok: no contributions; predicts",
    "granitemoeshared": "ok: attn_out alone; predicts",
    # Norms behind the parts, norms behind the sums, both parts from one norm, ALiBi with its own residuals.
    "olmo2": "ok: adds up; predicts",
    "bert": "ok: adds up before norms; does not predict",
    "gptj": "ok: adds up; predicts",
    "falcon": "ok: adds up; predicts",
    "bloom": "ok: adds up; predicts",
    # Layers of several kinds.
    "qwen3_next": "ok: adds up; predicts",
    "lfm2": "ok: adds up; predicts",
    "jamba": "ok: adds up; predicts",
    "falcon_mamba": "ok: no contributions; predicts",
    # Experts.
    "mixtral": "ok: adds up; predicts",
    "deepseek_v3": "ok: adds up; predicts",
    # A text model inside one for images, of which whole and part are different classes or not.
    "qwen2_vl": "ok: adds up; predicts",
    "qwen2_5_vl": "ok: adds up; predicts",
    "qwen3_vl": "ok: adds up; predicts",
    "qwen3_5": "ok: adds up; predicts",
    "llama4": "ok: adds up; predicts",
    "llava": "ok: adds up; predicts",
    "mistral3": "ok: adds up; predicts",
    "idefics3": "ok: adds up; predicts",
    "smolvlm": "ok: adds up; predicts",
    "gemma3": "ok: adds up; predicts",
    "qwen2_audio": "ok: adds up; predicts",
    # Layers that return lists.
    "openai-gpt": "ok: adds up before norms; predicts",
    # A text that is seen at once: it would know what it predicts.
    "paligemma": "ok: adds up; does not predict",
    # What saetui does not read, and says so.
    "bart": "refused: BartModel has an encoder and a decoder; saetui reads models with one stack of layers.",
    "albert": "refused: AlbertModel has no list of 4 layers that saetui could find.",
}


WITH_TRANSFORMERS_4 = {
    "jamba": "refused: it cannot be run on tokens alone: ValueError: Fast Mamba kernels are not available.",
    "qwen2_vl": "refused: it cannot be run on tokens alone: TypeError",
    "qwen2_5_vl": "refused: it cannot be run on tokens alone: TypeError",
    "qwen3_vl": "not made small: AttributeError",
    "llama4": "not made small: AttributeError",
    "qwen2_audio": "not made small: ValueError",
}
"""How the result begins where transformers 4 differs. It runs some families only with a cache or on a GPU."""


@pytest.mark.parametrize("family", [family for family in KINDS if family in CONFIG_MAPPING])
def test_a_family_is_read_as_it_is(family: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    result = describe(family, tmp_path, tokenizer)
    if OLD and family in WITH_TRANSFORMERS_4:
        assert result.startswith(WITH_TRANSFORMERS_4[family])
    else:
        assert result == KINDS[family]
