"""Other tools' layouts: written where they can say what the SAE computes, refused with the reason where they cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from saetui.errors import FormatError, InvalidInput
from saetui.sae import Normalization, export_result, load_saelens
from saetui.sae.formats.layouts import LAYOUTS, load_sae
from saetui.sae.options import Option
from tests.sae.conftest import stirred
from tests.sae.test_export import METADATA, with_threshold

SCALED = Normalization("constant_norm", 0.1)


def result_of(
    directory: Path,
    architecture: str,
    generator: torch.Generator,
    options: dict[str, Option],
    normalization: Normalization = SCALED,
) -> Path:
    sae = with_threshold(stirred(architecture, generator, **options))
    target = Normalization("constant_norm", 3.0) if not sae.centres_input else None
    export_result(directory / "result", sae, normalization, METADATA, target=target)
    return directory / "result"


@pytest.mark.parametrize("architecture", ["topk", "transcoder", "skip_transcoder"])
def test_sparsify_s_layout_comes_back_the_same(
    architecture: str, x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    result = load_sae(result_of(tmp_path, architecture, generator, {"k": 6}))
    LAYOUTS["sparsify"](tmp_path / "layers.2", result)
    loaded = load_sae(tmp_path / "layers.2")
    assert loaded.layout == "sparsify"
    assert loaded.metadata == {"hf_hook_name": "layers.2"}
    assert loaded.sae.architecture == result.sae.architecture == architecture
    assert torch.allclose(loaded.reconstruct(x), result.reconstruct(x), atol=1e-6)


REFUSED: list[tuple[str, str, dict[str, Option], str]] = [
    ("sparsify", "standard", {}, "keeps the k largest"),
    ("sparsify", "batch_topk", {"k": 6}, "nothing for batch_topk"),
    ("sparsify", "jumprelu", {}, "keeps the k largest"),
    ("sparsify", "gated", {}, "keeps the k largest"),
    ("sparsify", "transcoder", {}, "transcoder by l1_alpha"),
    ("dictionary_learning", "skip", {}, "nothing for skip"),
    ("dictionary_learning", "skip_transcoder", {}, "nothing for skip_transcoder"),
]


@pytest.mark.parametrize(("layout", "architecture", "options", "words"), REFUSED)
def test_what_a_layout_cannot_say_is_refused(
    layout: str, architecture: str, options: dict[str, Option], words: str, generator: torch.Generator, tmp_path: Path
) -> None:
    result = load_sae(result_of(tmp_path, architecture, generator, options))
    with pytest.raises(InvalidInput, match=words) as refused:
        LAYOUTS[layout](tmp_path / "out", result)
    assert refused.value.suggestion
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layer_norm_is_refused_by_both(layout: str, generator: torch.Generator, tmp_path: Path) -> None:
    result = load_sae(result_of(tmp_path, "topk", generator, {"k": 6}, Normalization("layer_norm")))
    with pytest.raises(InvalidInput, match="layer_norm"):
        LAYOUTS[layout](tmp_path / "out", result)


def test_dictionary_learning_gets_the_k_and_widths_that_the_export_as_jumprelu_has_not(
    generator: torch.Generator, tmp_path: Path
) -> None:
    result = load_sae(result_of(tmp_path, "matryoshka", generator, {"k": 6, "widths": [20, 80]}))
    assert result.sae.architecture == "jumprelu"
    LAYOUTS["dictionary_learning"](tmp_path / "out", result)
    trainer = json.loads((tmp_path / "out" / "config.json").read_text())["trainer"]
    assert (trainer["dict_class"], trainer["k"], trainer["dict_size"]) == ("MatryoshkaBatchTopKSAE", 6, 80)
    assert (trainer["lm_name"], trainer["layer"]) == ("gpt2", 2)
    weights = torch.load(tmp_path / "out" / "ae.pt", weights_only=True)
    assert weights["group_sizes"].tolist() == [20, 60]
    assert float(weights["threshold"]) == pytest.approx(0.3)


def test_pickles_are_not_read(generator: torch.Generator, tmp_path: Path) -> None:
    LAYOUTS["dictionary_learning"](tmp_path / "out", load_sae(result_of(tmp_path, "topk", generator, {"k": 6})))
    with pytest.raises(FormatError, match=r"ae\.pt, a pickle"):
        load_sae(tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "groupmax"}, "groupmax"),
        ({"transcode": False}, "copies its input"),
        ({"k": 0}, "k in"),
        ({"k": 81}, "k in"),
        ({"num_latents": 81}, "has shape"),
        ({"skip_connection": False}, "holds"),
        ({"d_in": "24"}, "d_in in"),
    ],
)
def test_damage_in_sparsify_s_layout_is_named(
    changes: dict[str, Any], words: str, generator: torch.Generator, tmp_path: Path
) -> None:
    LAYOUTS["sparsify"](tmp_path / "out", load_sae(result_of(tmp_path, "skip_transcoder", generator, {"k": 6})))
    path = tmp_path / "out" / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(FormatError, match=words) as refused:
        load_sae(tmp_path / "out")
    assert refused.value.suggestion


def test_a_number_of_latents_may_be_a_factor(x: Tensor, generator: torch.Generator, tmp_path: Path) -> None:
    """sparsify writes `num_latents: 0` where its expansion factor says it."""
    sae = stirred("topk", generator, k=6)
    with torch.no_grad():
        for name in ("W_enc", "b_enc"):
            sae.get_parameter(name).data = sae.get_parameter(name)[..., :72].contiguous()
        sae.W_dec.data = sae.W_dec[:72].contiguous()
    sae.latents = 72
    export_result(tmp_path / "result", sae, Normalization(), METADATA)
    LAYOUTS["sparsify"](tmp_path / "out", load_saelens(tmp_path / "result"))
    path = tmp_path / "out" / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_latents": 0, "expansion_factor": 3}))
    assert torch.allclose(load_sae(tmp_path / "out").reconstruct(x), sae(x), atol=1e-5)
