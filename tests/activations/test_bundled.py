"""The whole way with what saetui brings along: from source text to batches of activations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from saetui import bundled
from saetui.activations import ActivationExtractor, BatchStream, HookPoint, Site, open_model, prepare_tokens
from saetui.activations.splice import Splice, cross_entropy


@pytest.mark.skipif(not bundled.TINY.is_dir(), reason="the bundled model has not been made yet")
def test_the_bundled_model_reads_the_standard_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = bundled.stdlib_files()[:20]
    monkeypatch.setattr(bundled, "stdlib_files", lambda: some)
    model = open_model("bundled:tiny", device="cpu")
    dataset = prepare_tokens("bundled:stdlib", model.tokenizer, context_length=64, cache_directory=tmp_path)
    site = Site(model.num_layers // 2, HookPoint.RESID_POST)
    batch = BatchStream(
        ActivationExtractor(model, [site]), dataset, batch_size=256, seed=0, contexts_per_block=16
    ).next()
    assert batch[site.name].shape == (256, model.d_model)
    assert bool(torch.isfinite(batch[site.name]).all())
    tokens = dataset.read(dataset.held_out[:8])
    clean, zeroed = cross_entropy(model, tokens), cross_entropy(model, tokens, [Splice(site, None)])
    assert clean.mean < zeroed.mean
