"""The tools of the field load what saetui exports, and compute the same from a real model's activations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saetui.activations import ActivationExtractor, HookPoint, Site, open_model, prepare_tokens
from saetui.errors import InvalidInput
from saetui.sae import (
    ExportMetadata,
    Normalization,
    ScaleEstimator,
    SparseAutoencoder,
    build,
    export_saelens,
    load_saelens,
)
from saetui.sae.formats.layouts import LAYOUTS, load_sae
from tests.peers.environment import peer_python, run_peer

RESID = Site(2, HookPoint.RESID_POST)
MLP_IN, MLP_OUT = Site(2, HookPoint.MLP_IN), Site(2, HookPoint.MLP_OUT)
LATENTS = 80

OURS: dict[str, dict[str, Any]] = {
    "standard": {},
    "standard_tied": {"tie_weights": True},
    "standard_free": {"decoder_norm": "free"},
    "topk": {"k": 6},
    "topk_free": {"k": 6, "decoder_norm": "free"},
    "batch_topk": {"k": 6},
    "matryoshka": {"k": 6, "widths": [20, 40, 80]},
    "jumprelu": {},
    "gated": {},
    "transcoder": {"k": 6},
    "transcoder_l1": {},
    "skip_transcoder": {"k": 6},
    "skip_transcoder_l1": {},
}
IN_SAELENS = {
    "standard": "StandardSAE",
    "topk": "TopKSAE",
    "batch_topk": "JumpReLUSAE",
    "matryoshka": "JumpReLUSAE",
    "jumprelu": "JumpReLUSAE",
    "gated": "GatedSAE",
    "transcoder": "TopKSAE",
    "transcoder_l1": "Transcoder",
    "skip_transcoder_l1": "SkipTranscoder",
}
IN_SPARSIFY = ("topk", "topk_free", "transcoder", "skip_transcoder")
IN_DICTIONARY_LEARNING = ("standard_tied", "topk_free", "batch_topk", "matryoshka", "jumprelu", "gated")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The bundled model's activations at three sites, by SAELens's names, shape (n, d)."""
    torch.set_num_threads(1)
    model = open_model("bundled:tiny", device="cpu")
    directory = tmp_path_factory.mktemp("text")
    (directory / "text.txt").write_text(Path(json.__file__).read_text())
    data = prepare_tokens(str(directory), model.tokenizer, context_length=32, cache_directory=directory / "cache")
    sites = [RESID, MLP_IN, MLP_OUT]
    found = ActivationExtractor(model, sites)(data.read(data.train[:8]))
    return {site.transformer_lens_name: found.values[site.name][found.keep] for site in sites}


@pytest.fixture(scope="module")
def scales(raw: Mapping[str, Tensor]) -> dict[str, Normalization]:
    return {name: _scale(x) for name, x in raw.items()}


@pytest.fixture(scope="module")
def saes(raw: Mapping[str, Tensor], scales: Mapping[str, Normalization]) -> dict[str, SparseAutoencoder]:
    """One of each, with no parameter at its start, and b_dec at the target's mean as in a training."""
    generator = torch.Generator().manual_seed(3)
    made = {}
    for name, options in OURS.items():
        architecture = max((known for known in ARCHITECTURES if name.startswith(known)), key=len)
        source, target = places(architecture)
        width = raw[source].shape[1]
        sae = build(architecture, width, width, LATENTS, generator, **options)
        sae.initialise_bias(scales[target].normalise(raw[target]))
        with torch.no_grad():
            for parameter in sae.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
            for buffer in ("threshold",):
                if buffer in dict(sae.named_buffers()):
                    sae.get_buffer(buffer).fill_(0.9)
        sae.after_step()
        made[name] = sae
    return made


ARCHITECTURES = ("standard", "topk", "batch_topk", "matryoshka", "jumprelu", "gated", "transcoder", "skip_transcoder")


def places(architecture: str) -> tuple[str, str]:
    if architecture.endswith("transcoder"):
        return MLP_IN.transformer_lens_name, MLP_OUT.transformer_lens_name
    return RESID.transformer_lens_name, RESID.transformer_lens_name


def export(directory: Path, sae: SparseAutoencoder, scales: Mapping[str, Normalization]) -> None:
    source, target = places(sae.architecture)
    metadata = ExportMetadata(
        model_name="gpt2",
        hook_name=source,
        hf_hook_name="transformer.h.2",
        hook_layer=2,
        context_size=32,
        dataset_path="bundled:stdlib",
        prepend_bos=False,
        hook_name_out=None if source == target else target,
    )
    export_saelens(directory, sae, scales[source], metadata, target=scales[target])


def wanted(
    sae: SparseAutoencoder, raw: Mapping[str, Tensor], scales: Mapping[str, Normalization]
) -> tuple[Tensor, Tensor]:
    """z and the prediction in raw units, as the training's own units give them."""
    source, target = places(sae.architecture)
    with torch.no_grad():
        x = scales[source].normalise(raw[source])
        return sae.encode(x), scales[target].restore(sae(x), raw[target])


def assert_same(found: Tensor, wanted: Tensor, what: str) -> None:
    error = float((found - wanted).abs().max() / wanted.abs().max())
    assert error <= 1e-5, f"{what}: {error:.1e}"
    assert bool(wanted.any()), f"{what} is all 0: that proves nothing"


@pytest.mark.skipif(peer_python("saelens") is None, reason="SAELens is not installed (make peers)")
def test_saelens_and_saetui_read_each_other(
    raw: dict[str, Tensor], saes: Mapping[str, SparseAutoencoder], scales: Mapping[str, Normalization], tmp_path: Path
) -> None:
    save_file(raw, tmp_path / "activations.safetensors")
    (tmp_path / "ours").mkdir()
    exported = [name for name in saes if name != "skip_transcoder"]
    for name in exported:
        export(tmp_path / "ours" / name, saes[name], scales)
    run_peer("saelens", "saelens_load.py", tmp_path)

    results, facts = load_file(tmp_path / "results.safetensors"), json.loads((tmp_path / "facts.json").read_text())
    for name in exported:
        z, x_hat = wanted(saes[name], raw, scales)
        assert_same(results[f"{name}.z"], z, f"{name}: z")
        assert_same(results[f"{name}.x_hat"], x_hat, f"{name}: x_hat")
    assert {name: facts[name]["class"] for name in IN_SAELENS} == IN_SAELENS
    assert facts["topk"] == {
        "class": "TopKSAE",
        "model_name": "gpt2",
        "model_class_name": "HookedTransformer",
        "model_from_pretrained_kwargs": {"fold_ln": False, "center_writing_weights": False},
        "hook_name": "blocks.2.hook_resid_post",
        "hook_name_out": None,
        "hook_head_index": None,
        "context_size": 32,
        "prepend_bos": False,
        "dataset_path": "bundled:stdlib",
        "exclude_special_tokens": True,
        "seqpos_slice": [1, None],
        # Its own ActivationsStore.from_sae has read a batch of 2 contexts at that site, without their first position.
        "stored": [2, 31, raw["blocks.2.hook_resid_post"].shape[1]],
    }
    assert facts["transcoder"]["hook_name_out"] == "blocks.2.hook_mlp_out"
    assert facts["transcoder"]["stored"] == facts["topk"]["stored"]

    theirs, x = load_file(tmp_path / "theirs.safetensors"), raw["blocks.2.hook_resid_post"]
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert len(names) == 13
    for name in names:
        loaded = load_saelens(tmp_path / "theirs" / name)
        with torch.no_grad():
            z, x_hat = loaded.encode(x), loaded.reconstruct(x)
        if name != "topk_rescaled":  # there z is in the units of unit rows
            assert_same(z, theirs[f"{name}.z"], f"their {name}: z")
        assert_same(x_hat, theirs[f"{name}.x_hat"], f"their {name}: x_hat")


@pytest.mark.skipif(peer_python("sparsify") is None, reason="sparsify is not installed (make peers)")
def test_sparsify_and_saetui_read_each_other(
    raw: dict[str, Tensor], saes: Mapping[str, SparseAutoencoder], scales: Mapping[str, Normalization], tmp_path: Path
) -> None:
    results = converted("sparsify", IN_SPARSIFY, raw, saes, scales, tmp_path)
    for name in IN_SPARSIFY:
        source, _ = places(saes[name].architecture)
        loaded = load_sae(tmp_path / "theirs" / name)
        assert loaded.layout == "sparsify" and loaded.sae.architecture == saes[name].architecture
        with torch.no_grad():
            assert_same(loaded.reconstruct(raw[source]), results[f"{name}.x_hat"], f"their {name}: x_hat")


@pytest.mark.skipif(
    peer_python("dictionary_learning") is None, reason="dictionary_learning is not installed (make peers)"
)
def test_dictionary_learning_loads_exports(
    raw: dict[str, Tensor], saes: Mapping[str, SparseAutoencoder], scales: Mapping[str, Normalization], tmp_path: Path
) -> None:
    converted("dictionary_learning", IN_DICTIONARY_LEARNING, raw, saes, scales, tmp_path)


def converted(
    peer: str,
    names: tuple[str, ...],
    raw: Mapping[str, Tensor],
    saes: Mapping[str, SparseAutoencoder],
    scales: Mapping[str, Normalization],
    directory: Path,
) -> dict[str, Tensor]:
    """Exports to a peer's layout by way of the result directory, lets the peer apply them, and compares."""
    (directory / "ours").mkdir()
    (directory / "results").mkdir()
    activations: dict[str, Tensor] = {}
    for name in names:
        result = directory / "results" / name
        write_result(result, saes[name], scales)
        LAYOUTS[peer](directory / "ours" / name, load_sae(result))
        activations[name] = raw[places(saes[name].architecture)[0]].clone()
    save_file(activations, directory / "activations.safetensors")
    run_peer(peer, f"{peer}_load.py", directory)
    results = load_file(directory / "results.safetensors")
    for name in names:
        z, x_hat = wanted(saes[name], raw, scales)
        if not (peer == "dictionary_learning" and name.startswith("standard")):  # there z is in units of unit rows
            assert_same(results[f"{name}.z"], z, f"{name}: z")
        assert_same(results[f"{name}.x_hat"], x_hat, f"{name}: x_hat")
    return results


def write_result(directory: Path, sae: SparseAutoencoder, scales: Mapping[str, Normalization]) -> None:
    try:
        export(directory, sae, scales)
    except InvalidInput:
        from saetui.sae import export_saetui

        source, target = places(sae.architecture)
        metadata = ExportMetadata("gpt2", source, "transformer.h.2", 2, 32, "bundled:stdlib", False)
        export_saetui(directory, sae, scales[source], metadata, target=scales[target])


def _scale(x: Tensor) -> Normalization:
    estimator = ScaleEstimator(x.shape[1])
    estimator.add(x)
    return estimator.result()
