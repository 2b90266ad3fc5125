"""What was done to a foreign SAE's model is followed or refused by its name; its model's short name leads to the Hub's."""

from __future__ import annotations

from typing import Any

import pytest

from saetui.errors import InvalidInput
from saetui.sae.formats.models import ModelChanges, changes_to_model, hub_ids, require_all_positions


def said(kwargs: Any) -> dict[str, Any]:
    return {"model_from_pretrained_kwargs": kwargs}


def test_what_changes_activations_is_known_and_the_rest_is_passed_over() -> None:
    assert changes_to_model({}) == ModelChanges(stated=False)
    assert changes_to_model(said({})) == ModelChanges()
    assert changes_to_model(said({"center_writing_weights": True})) == ModelChanges(centred=True)
    assert changes_to_model(said({"fold_ln": True, "center_unembed": True, "dtype": "bfloat16"})) == ModelChanges(
        folded=True
    )
    assert changes_to_model(said({"center_writing_weights": False, "load_in_8bit": False})) == ModelChanges()
    assert changes_to_model(said({"revision": "step1000"})) == ModelChanges(revision="step1000")


@pytest.mark.parametrize("kwargs", [{"checkpoint_value": 3000}, {"load_in_4bit": True}, {"something": [1]}, "all"])
def test_a_change_that_is_not_followed_is_refused_by_name(kwargs: Any) -> None:
    with pytest.raises(InvalidInput, match=next(iter(kwargs)) if isinstance(kwargs, dict) else "all") as refused:
        changes_to_model(said(kwargs))
    assert refused.value.suggestion


def test_positions_are_all_or_all_but_the_first() -> None:
    for sound in (None, [None], [1, None], [0, None], [None, None]):
        require_all_positions({"seqpos_slice": sound})
    for other in ([5, None], [None, 10], [1, -1], [2], "all"):
        with pytest.raises(InvalidInput, match="seqpos_slice"):
            require_all_positions({"seqpos_slice": other})


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("gpt2-small", "openai-community/gpt2"),
        ("gpt2-xl", "openai-community/gpt2-xl"),
        ("pythia-70m-deduped", "EleutherAI/pythia-70m-deduped"),
        ("pythia-1.4b", "EleutherAI/pythia-1.4b"),
        ("gemma-2-2b", "google/gemma-2-2b"),
        ("gemma-2b-it", "google/gemma-2b-it"),
        ("mistral-7b", "mistralai/Mistral-7B-v0.1"),
        ("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B"),
        ("tiny-stories-33M", "roneneldan/TinyStories-33M"),
        ("opt-125m", "facebook/opt-125m"),
    ],
)
def test_transformer_lens_s_names_stand_for_hub_ids(name: str, hub: str) -> None:
    assert hub_ids(name)[0] == hub


@pytest.mark.parametrize("name", ["gelu-2l", "openai-community/gpt2", "mine", ""])
def test_other_names_stand_for_nothing(name: str) -> None:
    assert hub_ids(name) == ()
