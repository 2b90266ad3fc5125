"""The finished SAEs of a job leave it whole, for other tools to load."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import SITES, Saetui, Trained, small_spec


def contents(directory: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}


def test_every_site_gets_a_directory(trained: Trained, tmp_path: Path) -> None:
    outcome = trained.saetui("export", "small", tmp_path / "out", "--json")
    assert outcome.code == 0
    assert outcome.document == [
        {"site": site, "directory": str(tmp_path / "out" / site), "format": "saelens"} for site in SITES
    ]
    for site in SITES:
        copied = contents(tmp_path / "out" / site)
        assert {"cfg.json", "sae_weights.safetensors"} <= copied.keys()
        assert copied == contents(trained.directory / "sae" / site)


def test_one_site_is_the_directory_itself(trained: Trained, tmp_path: Path) -> None:
    outcome = trained.saetui("export", "small", "out", "--site", SITES[1], directory=tmp_path)
    assert outcome.code == 0
    assert outcome.out == f"{tmp_path / 'out'}\n"
    assert contents(tmp_path / "out") == contents(trained.directory / "sae" / SITES[1])


def test_a_site_that_the_job_has_not_is_named(trained: Trained, tmp_path: Path) -> None:
    outcome = trained.saetui("export", "small", tmp_path / "out", "--site", "layer_9.mlp_out")
    assert outcome.code == 1
    assert "has no site layer_9.mlp_out. It has layer_1.resid_post, layer_2.resid_post." in outcome.error_lines[0]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    outcome = trained.saetui("export", "small", tmp_path, "--json")
    assert outcome.code == 1
    assert "is not empty" in outcome.error_lines[0]
    assert contents(tmp_path) == {"mine.txt": b"keep"}


def test_a_job_without_a_result_says_when_it_gets_one(saetui: Saetui, tmp_path: Path) -> None:
    job = saetui("train", small_spec(tmp_path, hyperparameters={"num_steps": 1_000_000}), "--json").document
    outcome = saetui("export", "small", tmp_path / "out", "--json")
    assert outcome.code == 1
    assert "has no result" in outcome.error_lines[0]
    assert f"saetui stop {job['id']}" in outcome.document["error"]["suggestion"]
    assert not (tmp_path / "out").exists()


def test_other_tools_layouts_are_made_and_what_they_cannot_say_is_refused(trained: Trained, tmp_path: Path) -> None:
    outcome = trained.saetui("export", "small", tmp_path / "out", "--format", "sparsify", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document == [
        {"site": site, "directory": str(tmp_path / "out" / site), "format": "sparsify"} for site in SITES
    ]
    assert contents(tmp_path / "out" / SITES[1]).keys() == {"cfg.json", "sae.safetensors"}
    refused = trained.saetui("export", "small", tmp_path / "own", "--format", "saetui")
    assert refused.code == 2
    assert "in SAELens's layout" in refused.error_lines[0]
    assert not (tmp_path / "own").exists()
