"""A training that starts from an SAE computes, at its start, what that SAE computes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import Normalization, build, export_result
from saetui.sae.continuing import take_over
from saetui.sae.formats.layouts import load_sae
from saetui.sae.options import Option
from tests.sae.conftest import stirred
from tests.sae.test_export import METADATA, with_threshold

THEN, NOW = Normalization("constant_norm", 0.2), Normalization("constant_norm", 0.7)
TARGET_THEN, TARGET_NOW = Normalization("constant_norm", 3.0), Normalization("constant_norm", 0.5)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("standard", {}),
        ("standard", {"decoder_norm": "free"}),
        ("topk", {"k": 6}),
        ("batch_topk", {"k": 6}),
        ("matryoshka", {"k": 6}),
        ("jumprelu", {}),
        ("gated", {}),
        ("skip", {}),
        ("transcoder", {"k": 6}),
        ("transcoder", {}),
        ("skip_transcoder", {"k": 6}),
    ],
)
def test_it_computes_the_same_in_new_units(
    architecture: str, options: dict[str, Option], x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    old = with_threshold(stirred(architecture, generator, **options))
    transcodes = not old.centres_input
    export_result(tmp_path / "sae", old, THEN, METADATA, target=TARGET_THEN if transcodes else THEN)
    loaded = load_sae(tmp_path / "sae")
    new = build(architecture, 24, 24, 80, generator, **options)
    take_over(new, NOW, TARGET_NOW if transcodes else NOW, loaded)
    x_hat = (TARGET_NOW if transcodes else NOW).restore(new(NOW.normalise(x)), x)
    wanted = loaded.reconstruct(x)
    assert float((x_hat - wanted).detach().abs().max()) <= 2e-5 * float(wanted.detach().abs().max())
    if new.options.decoder_norm == "unit":
        assert torch.allclose(new.W_dec.norm(dim=1), torch.ones(80), atol=1e-5)


def test_unit_rows_are_made_where_that_changes_nothing(x: Tensor, generator: torch.Generator, tmp_path: Path) -> None:
    for architecture in ("jumprelu", "gated", "standard"):
        export_result(tmp_path / architecture, stirred(architecture, generator, decoder_norm="free"), THEN, METADATA)
        loaded = load_sae(tmp_path / architecture)
        new = build(architecture, 24, 24, 80, generator)
        take_over(new, NOW, NOW, loaded)
        assert torch.allclose(NOW.restore(new(NOW.normalise(x)), x), loaded.reconstruct(x), atol=1e-3)
        assert torch.allclose(new.W_dec.norm(dim=1), torch.ones(80), atol=1e-5)


@pytest.mark.parametrize(
    ("source", "source_options", "architecture", "options", "words"),
    [
        ("gated", {}, "jumprelu", {}, "is a gated"),
        ("topk", {"k": 6, "decoder_norm": "free"}, "topk", {"k": 6}, "different norms"),
        ("standard", {}, "standard", {"tie_weights": True}, "encoder of its own"),
    ],
)
def test_what_cannot_go_on_is_refused(
    source: str,
    source_options: dict[str, Option],
    architecture: str,
    options: dict[str, Option],
    words: str,
    generator: torch.Generator,
    tmp_path: Path,
) -> None:
    export_result(tmp_path / "sae", stirred(source, generator, **source_options), THEN, METADATA)
    new = build(architecture, 24, 24, 80, generator, **options)
    with pytest.raises(InvalidInput, match=words) as refused:
        take_over(new, NOW, NOW, load_sae(tmp_path / "sae"))
    assert refused.value.suggestion


def test_sizes_and_layer_norm_must_agree(generator: torch.Generator, tmp_path: Path) -> None:
    export_result(tmp_path / "sae", stirred("topk", generator, k=6), THEN, METADATA)
    loaded = load_sae(tmp_path / "sae")
    with pytest.raises(InvalidInput, match="80"):
        take_over(build("topk", 24, 24, 96, generator, k=6), NOW, NOW, loaded)
    with pytest.raises(InvalidInput, match="layer_norm"):
        plain = Normalization("layer_norm")
        take_over(build("topk", 24, 24, 80, generator, k=6), plain, plain, loaded)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"model_from_pretrained_kwargs": {"center_writing_weights": True}}, "centred"),
        ({"hook_name": "blocks.2.ln2.hook_normalized"}, "before its weight"),
        ({"hook_name": "blocks.2.mlp.hook_in", "model_from_pretrained_kwargs": {"fold_ln": True}}, "before its weight"),
        ({"model_from_pretrained_kwargs": {"checkpoint_value": 7}}, "checkpoint_value"),
    ],
)
def test_a_training_does_not_go_on_from_an_sae_of_another_tensor(
    facts: dict[str, object], words: str, generator: torch.Generator, tmp_path: Path
) -> None:
    export_result(tmp_path / "sae", stirred("topk", generator, k=6), THEN, METADATA)
    path = tmp_path / "sae" / "cfg.json"
    config = json.loads(path.read_text())
    config["metadata"] = {"sae_lens_version": "6.54.12", **facts}
    path.write_text(json.dumps(config))
    with pytest.raises(InvalidInput, match=words):
        take_over(build("topk", 24, 24, 80, generator, k=6), NOW, NOW, load_sae(tmp_path / "sae"))
