"""The evaluation of finished SAEs: every kind of directory, at its site or the one asked for."""

from __future__ import annotations

import json
import json.decoder
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from saetui.errors import InvalidInput, ModelError, SaetuiError
from saetui.home import Home
from saetui.sae import ExportMetadata, Normalization, build, export_result
from saetui.sae.options import Option
from saetui.training.tasks.evaluate import judge

WIDTH = 128


@pytest.fixture(autouse=True)
def one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("SAETUI_HOME", str(Home(tmp_path / "home").root))
    yield
    torch.set_num_threads(before)


def made(
    directory: Path,
    architecture: str,
    hook_name: str = "blocks.1.hook_resid_post",
    text: Path | None = None,
    extra: Mapping[str, str] | None = None,
    norm_limit: float | None = None,
    **options: Option,
) -> Path:
    """A new SAE of no worth in a directory, at layer 1 of the bundled model."""
    if text is None:
        text = directory / "text.txt"
        text.write_text(Path(json.decoder.__file__).read_text())
    sae = build(architecture, WIDTH, WIDTH, 64, torch.Generator().manual_seed(0), **options)
    metadata = ExportMetadata(
        model_name="bundled:tiny",
        hook_name=hook_name,
        hf_hook_name="transformer.h.1",
        hook_layer=1,
        context_size=32,
        dataset_path=str(text),
        prepend_bos=False,
        extra=extra or {},
    )
    target = None if sae.centres_input else Normalization("constant_norm", 2.0, norm_limit)
    source = Normalization("constant_norm", 0.5, norm_limit if sae.centres_input else None)
    export_result(directory / architecture, sae, source, metadata, target=target)
    return directory / architecture


def asked(directory: Path, **more: Any) -> dict[str, Any]:
    return {"directories": {"it": str(directory)}, "tokens": 64, "device": "cpu", **more}


def test_what_it_was_trained_on_is_taken_from_its_metadata(tmp_path: Path) -> None:
    found = judge(asked(made(tmp_path, "topk", k=4)))
    assert (found["model"], found["context_length"]) == ("bundled:tiny", 32)
    (values,) = sites(found).values()
    assert values["site"] == "layer_1.resid_post"
    assert values["l0"] == pytest.approx(4)
    assert 0 < values["never_fired"] < 1 and "dead" not in values
    assert values["ce_zero"] > values["ce_clean"] > 0


@pytest.mark.parametrize(
    ("architecture", "hook_name", "limit"),
    [("topk", "blocks.1.hook_resid_post", 20.0), ("transcoder", "blocks.1.mlp.hook_in", 5.0)],
)
def test_what_it_was_not_trained_on_is_left_out_as_its_metadata_say(
    architecture: str, hook_name: str, limit: float, tmp_path: Path
) -> None:
    """A limit near the median of its site (or of its target) leaves out about half of the tokens."""
    directory = made(tmp_path, architecture, hook_name, norm_limit=limit, k=4)
    (limited,) = sites(judge(asked(directory))).values()
    assert 0.1 < limited["sink_fraction"] < 0.9
    assert limited["fvu"] != limited["fvu_all"]
    (free,) = sites(judge(asked(made(tmp_path, architecture, hook_name, k=4)))).values()
    assert "sink_fraction" not in free
    assert free["fvu"] == free["fvu_all"] == pytest.approx(limited["fvu_all"], rel=1e-5)
    assert free["ce_clean"] == limited["ce_clean"] and free["ce_zero"] != limited["ce_zero"]


def test_a_transcoder_stands_in_for_the_mlp(tmp_path: Path) -> None:
    directory = made(tmp_path, "transcoder", "blocks.1.mlp.hook_in", k=4)
    (values,) = sites(judge(asked(directory))).values()
    assert (values["site"], values["architecture"]) == ("layer_1.mlp_in", "transcoder")
    (zeroed,) = sites(judge(asked(silenced(directory)))).values()
    # Without latents, and with b_dec at 0, it predicts 0: the model runs without that MLP.
    assert zeroed["l0"] == 0 and zeroed["fvu"] >= 1
    assert zeroed["ce_sae"] == pytest.approx(zeroed["ce_zero"], abs=1e-6)
    assert zeroed["ce_recovered"] == pytest.approx(0, abs=1e-4)


def test_skip_is_judged_without_the_share_that_it_copies(tmp_path: Path) -> None:
    (values,) = sites(judge(asked(silenced(made(tmp_path, "skip", skip_coeff=0.5))))).values()
    assert (values["layout"], values["architecture"]) == ("saetui", "skip")
    assert values["fvu"] >= 1
    assert values["ce_recovered"] == pytest.approx(0, abs=1e-4)


def test_another_place_and_text_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(Path(json.__file__).read_text())
    more = {"layer": 2, "hook_point": "mlp_out", "dataset": str(tmp_path / "other.txt"), "context_length": 16}
    found = judge(asked(made(tmp_path, "topk", k=4), **more))
    (values,) = sites(found).values()
    assert values["site"] == "layer_2.mlp_out" and found["context_length"] == 16


CODE = Path(json.decoder.__file__).read_text().splitlines()


def split_text(directory: Path) -> Path:
    """Rows whose text is in the field `content`, in two splits of unlike sizes."""
    directory.mkdir()
    for split, lines in (("train", CODE), ("validation", CODE[:100])):
        rows = (json.dumps({"content": line}) + "\n" for line in lines if line.strip())
        (directory / f"{split}-0.jsonl").write_text("".join(rows))
    return directory


def test_split_and_field_of_its_text_are_taken_from_its_metadata(tmp_path: Path) -> None:
    text = split_text(tmp_path / "rows")
    validation = {"dataset_split": "validation", "dataset_text_field": "content"}
    found = judge(asked(made(tmp_path, "topk", text=text, extra=validation, k=4), tokens=10_000))
    assert (found["split"], found["text_field"]) == ("validation", "content")
    train = judge(asked(tmp_path / "topk", split="train", tokens=10_000))
    assert (train["split"], train["text_field"]) == ("train", "content")
    assert int(str(train["tokens"])) > int(str(found["tokens"]))


def test_split_and_field_of_its_text_do_not_hold_for_another(tmp_path: Path) -> None:
    extra = {"dataset_split": "validation", "dataset_text_field": "content"}
    directory = made(tmp_path, "topk", text=split_text(tmp_path / "rows"), extra=extra, k=4)
    (tmp_path / "other.txt").write_text(Path(json.__file__).read_text())
    found = judge(asked(directory, dataset=str(tmp_path / "other.txt")))
    assert (found["split"], found["text_field"]) == ("train", "text")


def test_what_was_left_out_of_the_text_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = split_text(tmp_path / "rows")
    with (text / "train-0.jsonl").open("a") as out:
        out.write("no row\n")
    judge(asked(made(tmp_path, "topk", text=text, extra={"dataset_text_field": "content"}, k=4)))
    assert "1 bad row (" in capsys.readouterr().err


def test_contexts_begin_as_those_of_the_sae_s_own_training(tmp_path: Path) -> None:
    directory = made(tmp_path, "topk", k=4)
    judge(asked(directory))
    kept = tmp_path / "home" / "cache" / "tokens"
    before = {entry.name for entry in kept.iterdir()}
    config = json.loads((directory / "cfg.json").read_text())
    del config["metadata"]["saetui"]
    for prepend_bos, others in ((True, 0), (False, 1)):
        config["metadata"]["prepend_bos"] = prepend_bos
        (directory / "cfg.json").write_text(json.dumps(config))
        judge(asked(directory))
        assert len({entry.name for entry in kept.iterdir()} - before) == others


@pytest.mark.parametrize(
    ("change", "more", "kind", "words"),
    [
        ({"hook_name": "blocks.2.attn.hook_z"}, {}, InvalidInput, "blocks.2.attn.hook_z"),
        ({"hook_name": None, "hf_hook_name": None}, {}, InvalidInput, "does not say its site"),
        ({"hook_name": "blocks.1.hook_else"}, {}, InvalidInput, "hook_else"),
        ({"model_name": "solu-1l"}, {}, ModelError, "nor a name of TransformerLens's"),
        ({"model_name": None}, {}, InvalidInput, "which model"),
        ({"dataset_path": None}, {}, InvalidInput, "which text"),
        ({"model_name": "gpt2-small"}, {}, ModelError, "There is no model openai-community/gpt2: .* --model"),
        ({"dataset_path": "some/where"}, {}, SaetuiError, "--dataset"),
        ({}, {"layer": 99}, ModelError, "no layer 99"),
        ({}, {"split": "test"}, SaetuiError, "has no split 'test'"),
    ],
)
def test_what_does_not_fit_is_named_with_the_way_out(
    change: dict[str, Any], more: dict[str, Any], kind: type[SaetuiError], words: str, tmp_path: Path
) -> None:
    directory = made(tmp_path, "topk", k=4)
    config = json.loads((directory / "cfg.json").read_text())
    config["metadata"] |= change
    (directory / "cfg.json").write_text(json.dumps(config))
    forget_checksums(directory)
    with pytest.raises(kind, match=words) as refused:
        judge(asked(directory, **more))
    assert refused.value.suggestion


def forget_checksums(directory: Path) -> None:
    """As one does who changes a result on purpose."""
    config = json.loads((directory / "cfg.json").read_text())
    del config["metadata"]["saetui"]["checksums"]
    (directory / "cfg.json").write_text(json.dumps(config))


def sites(found: dict[str, object]) -> dict[str, dict[str, Any]]:
    values = found["sites"]
    assert isinstance(values, dict)
    return values


def silenced(directory: Path) -> Path:
    """The same with latents that never fire, and no b_dec."""
    from safetensors.torch import load_file, save_file

    path = directory / "sae_weights.safetensors"
    weights = load_file(path)
    weights["b_enc"].fill_(-1e6)
    weights["b_dec"].zero_()
    save_file(weights, path)
    forget_checksums(directory)
    return directory
