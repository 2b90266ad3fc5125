"""Exports hold raw units, come back the same, and are written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from saetui.errors import FormatError, InvalidInput
from saetui.sae import (
    ExportMetadata,
    Normalization,
    SparseAutoencoder,
    as_trained,
    export_result,
    export_saelens,
    load_saelens,
)
from saetui.sae.options import Option
from tests.sae.conftest import stirred

METADATA = ExportMetadata(
    model_name="gpt2",
    hook_name="blocks.2.hook_resid_post",
    hf_hook_name="transformer.h.2",
    hook_layer=2,
    context_size=128,
    dataset_path="bundled:stdlib",
    prepend_bos=True,
    extra={"steps": 100},
)


CASES: list[tuple[str, dict[str, Option], str]] = [
    ("standard", {}, "standard"),
    ("standard", {"tie_weights": True}, "standard"),
    ("topk", {"k": 6}, "topk"),
    ("batch_topk", {"k": 6}, "jumprelu"),
    ("matryoshka", {"k": 6}, "jumprelu"),
    ("jumprelu", {}, "jumprelu"),
    ("gated", {}, "gated"),
]
UNITS = [Normalization(), Normalization("constant_norm", 0.037), Normalization("layer_norm")]


@pytest.mark.parametrize(("architecture", "options", "read_as"), CASES)
@pytest.mark.parametrize("normalization", UNITS)
def test_an_export_takes_and_gives_raw_activations(
    architecture: str,
    options: dict[str, Option],
    read_as: str,
    normalization: Normalization,
    x: Tensor,
    generator: torch.Generator,
    tmp_path: Path,
) -> None:
    sae = with_threshold(stirred(architecture, generator, **options))
    raw = x / normalization.scale
    export_saelens(tmp_path / "sae", sae, normalization, METADATA)
    loaded = load_saelens(tmp_path / "sae")
    wanted = normalization.restore(sae(normalization.normalise(raw)), raw)
    assert torch.allclose(loaded.encode(raw), sae.encode(normalization.normalise(raw)), rtol=1e-5, atol=1e-5)
    assert float((loaded.reconstruct(raw) - wanted).detach().abs().max()) <= 1e-5 * float(wanted.detach().abs().max())
    assert loaded.sae.architecture == read_as
    assert as_trained(loaded).architecture == architecture


@pytest.mark.parametrize("options", [{}, {"k": 6}])
@pytest.mark.parametrize("architecture", ["transcoder", "skip_transcoder"])
@pytest.mark.parametrize("normalization", [Normalization("constant_norm", 0.037), Normalization("layer_norm")])
def test_a_transcoder_has_units_of_its_own_on_either_side(
    architecture: str,
    options: dict[str, Option],
    normalization: Normalization,
    x: Tensor,
    generator: torch.Generator,
    tmp_path: Path,
) -> None:
    sae, target = stirred(architecture, generator, **options), Normalization("constant_norm", 5.0)
    refusal = export_result(tmp_path / "sae", sae, normalization, METADATA, target=target)
    # SAELens has no linear path beside a top-k or after layer_norm, and no top-k that predicts after layer_norm.
    allowed = 1 if normalization.kind == "constant_norm" else 0
    assert (refusal is None) == (len(options) + (architecture == "skip_transcoder") <= allowed)
    loaded = load_saelens(tmp_path / "sae")
    wanted = target.restore(sae(normalization.normalise(x)), x)
    assert loaded.sae.architecture == architecture
    assert loaded.layout == ("saelens" if refusal is None else "saetui")
    assert float((loaded.reconstruct(x) - wanted).detach().abs().max()) <= 1e-5 * float(wanted.detach().abs().max())


def test_a_target_in_layer_norm_units_is_refused(generator: torch.Generator, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="layer_norm"):
        export_result(tmp_path / "sae", stirred("transcoder", generator), Normalization("layer_norm"), METADATA)


def test_skip_is_refused_with_the_reason_and_kept_in_our_own_format(
    x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    sae, normalization = stirred("skip", generator, tie_weights=True), Normalization("constant_norm", 0.1)
    with pytest.raises(InvalidInput, match=r"\(1 − c\)·decode\(z\)") as refused:
        export_saelens(tmp_path / "sae", sae, normalization, METADATA)
    assert export_result(tmp_path / "sae", sae, normalization, METADATA) == refused.value.message
    loaded = load_saelens(tmp_path / "sae")
    assert (loaded.layout, loaded.sae.architecture, loaded.sae.description["skip_coeff"]) == ("saetui", "skip", 0.1)
    wanted = normalization.restore(sae(normalization.normalise(x)), x)
    assert torch.allclose(loaded.reconstruct(x), wanted, rtol=1e-5, atol=1e-4)


def with_threshold(sae: SparseAutoencoder) -> SparseAutoencoder:
    """A batch_topk as if it had been trained: with a threshold of its own."""
    buffers = dict(sae.named_buffers())
    if "threshold" in buffers:
        buffers["threshold"].fill_(0.3)
    return sae


def test_the_configuration_says_what_the_loader_needs(generator: torch.Generator, tmp_path: Path) -> None:
    export_saelens(tmp_path / "sae", stirred("topk", generator, k=6), Normalization("constant_norm", 2.0), METADATA)
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert config["architecture"] == "topk" and config["k"] == 6
    assert config["rescale_acts_by_decoder_norm"] is False
    assert (config["d_in"], config["d_sae"], config["dtype"]) == (24, 80, "float32")
    assert config["metadata"]["hook_name"] == "blocks.2.hook_resid_post"
    assert int(config["metadata"]["sae_lens_version"].split(".")[0]) >= 6
    assert config["metadata"]["saetui"]["normalization"] == {"kind": "constant_norm", "scale": 2.0}
    assert config["metadata"]["saetui"]["steps"] == 100


def test_an_export_replaces_an_older_one_and_leaves_nothing_else(
    x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    for _ in range(2):
        sae = stirred("standard", generator)
        export_saelens(tmp_path / "sae", sae, Normalization(), METADATA)
    assert torch.allclose(load_saelens(tmp_path / "sae").reconstruct(x), sae(x), atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["sae"]
    assert sorted(path.name for path in (tmp_path / "sae").iterdir()) == ["cfg.json", "sae_weights.safetensors"]


def test_nothing_of_somebody_elses_is_overwritten(generator: torch.Generator, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FormatError, match=r"thesis\.tex"):
        export_saelens(tmp_path, stirred("standard", generator), Normalization(), METADATA)
    with pytest.raises(FormatError, match="in the way"):
        export_saelens(tmp_path / "thesis.tex", stirred("standard", generator), Normalization(), METADATA)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_weights_that_are_not_finite_are_never_exported(generator: torch.Generator, tmp_path: Path) -> None:
    sae = stirred("standard", generator)
    with torch.no_grad():
        sae.W_enc[3, 3] = torch.nan
    with pytest.raises(FormatError, match="W_enc"):
        export_saelens(tmp_path / "sae", sae, Normalization(), METADATA)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("normalization", UNITS)
def test_an_export_reads_a_tensor_before_the_factor_that_its_layer_multiplies_it_by(
    normalization: Normalization, x: Tensor, generator: torch.Generator, tmp_path: Path
) -> None:
    """Granite adds .22 times what its parts give, and trainings read the product."""
    sae = with_threshold(stirred("topk", generator, k=6))
    export_saelens(tmp_path / "sae", sae, normalization.before(0.22), METADATA)
    loaded = load_saelens(tmp_path / "sae")
    wanted = normalization.restore(sae.reconstruct(normalization.normalise(0.22 * x)), 0.22 * x)
    given = loaded.normalization.restore(loaded.sae.reconstruct(loaded.normalization.normalise(x)), x)
    assert torch.allclose(0.22 * given, wanted, atol=1e-4)
