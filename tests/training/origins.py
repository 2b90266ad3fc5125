"""What a run began with, made up: for tests of what a checkpoint holds."""

from __future__ import annotations

from saetui.spec.settings import Settings
from saetui.training.origin import Origin
from tests.training.trainers import small


def made_up_origin() -> Origin:
    """An origin of no run that there is."""
    settings: Settings = small("topk")[1]
    return Origin(
        spec="0" * 64,
        settings=settings,
        model="f" * 32,
        transformers="4.51.0",
        dtype="float32",
        places={"layer_1.resid_post": "output of the layer"},
        tokens="a" * 32,
        special_ids=(0,),
        tokenizer="b" * 32,
    )
