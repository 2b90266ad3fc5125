"""Where a training starts from is found by path or by name, for one site or for each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saetui.catalog.starts import find_starts, latents_of
from saetui.errors import FormatError, InvalidInput, NotFound
from saetui.home import Home
from saetui.spec.problems import Problem, errors_of
from saetui.spec.validation import check_everything

SITES = ("layer_1.resid_post", "layer_2.resid_post")


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("SAETUI_HOME", str(home.root))
    return sae(home.imported / "mine")


def sae(directory: Path, **config: object) -> Path:
    directory.mkdir(parents=True)
    (directory / "cfg.json").write_text(json.dumps({"d_sae": 64, **config}))
    return directory


def test_a_name_and_a_path_are_found(imported: Path) -> None:
    assert find_starts("mine", SITES[:1]) == {SITES[0]: imported}
    assert find_starts(str(imported), SITES[1:]) == {SITES[1]: imported}
    assert latents_of(imported) == 64


def test_several_sites_take_a_directory_with_one_for_each(imported: Path, tmp_path: Path) -> None:
    wanted = {site: sae(tmp_path / "all" / site) for site in SITES}
    assert find_starts(str(tmp_path / "all"), SITES) == wanted
    with pytest.raises(InvalidInput, match="one SAE, and the training has 2 sites"):
        find_starts("mine", SITES)
    with pytest.raises(NotFound, match=r"no SAE for layer_9\.mlp_out"):
        find_starts(str(tmp_path / "all"), (*SITES, "layer_9.mlp_out"))


@pytest.mark.parametrize("reference", ["other", "../imported/mine", "mine/../mine", "/nowhere/at/all", ""])
def test_nothing_else_is_followed(reference: str, imported: Path) -> None:
    with pytest.raises(NotFound, match="no directory and no imported SAE") as refused:
        find_starts(reference, SITES[:1])
    assert refused.value.suggestion


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b" " * (1 << 20) + b"{}"])
def test_a_configuration_that_cannot_be_read_is_named(content: bytes, imported: Path) -> None:
    (imported / "cfg.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"cfg\.json"):
        latents_of(imported)


def test_a_spec_is_refused_before_it_is_a_job(imported: Path) -> None:
    spec: dict[str, object] = {
        "model": "bundled:tiny",
        "dataset": {"source": "bundled:stdlib"},
        "layers": [2],
        "hyperparameters": {"latent_dim": 256},
        "start_from": "mine",
    }
    assert [(p.field, p.suggestion) for p in errors(spec)] == [("start_from", "Set latent_dim to 64.")]
    assert [p.field for p in errors({**spec, "start_from": "other"})] == ["start_from"]
    assert [p.field for p in errors({**spec, "start_from": 7})] == ["start_from"]
    assert errors({**spec, "hyperparameters": {"latent_dim": 64}}) == []


def errors(spec: dict[str, object]) -> list[Problem]:
    return errors_of(check_everything(spec))
