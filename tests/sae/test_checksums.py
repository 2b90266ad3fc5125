from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from saetui.errors import FormatError
from saetui.sae import load_saelens
from saetui.sae.formats.export import export_saelens
from saetui.sae.normalization import Normalization
from tests.sae.conftest import stirred
from tests.sae.test_export import METADATA


@pytest.fixture
def result(generator: torch.Generator, tmp_path: Path) -> Path:
    export_saelens(tmp_path / "sae", stirred("topk", generator, k=6), Normalization(), METADATA)
    return tmp_path / "sae"


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
def test_no_flipped_bit_of_a_result_is_ever_read_as_another_sae(result: Path, name: str) -> None:
    path = result / name
    content = path.read_bytes()
    meant = json.loads((result / "cfg.json").read_text())
    chance = random.Random(0)
    for _ in range(150):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            load_saelens(result)
        except FormatError as error:
            assert error.suggestion
        else:
            # Only what means the same is taken: another white space.
            assert name == "cfg.json" and json.loads(bytes(damaged)) == meant


@pytest.mark.parametrize("name", ["metadata", "saetui", "checksums", "config", "weights"])
def test_a_damaged_key_does_not_hide_the_checksums(result: Path, name: str) -> None:
    path = result / "cfg.json"
    content = path.read_text()
    assert f'"{name}": ' in content
    path.write_text(content.replace(f'"{name}": ', f'"{name[:-1]}_": '))
    with pytest.raises(FormatError):
        load_saelens(result)


def test_files_of_two_results_do_not_pass_for_one(result: Path, generator: torch.Generator, tmp_path: Path) -> None:
    export_saelens(tmp_path / "other", stirred("topk", generator, k=6), Normalization(), METADATA)
    (tmp_path / "other" / "sae_weights.safetensors").replace(result / "sae_weights.safetensors")
    with pytest.raises(FormatError, match="damaged"):
        load_saelens(result)


def test_a_result_without_checksums_is_read_as_it_is(result: Path) -> None:
    config = json.loads((result / "cfg.json").read_text())
    del config["metadata"]["saetui"]["checksums"]
    (result / "cfg.json").write_text(json.dumps(config))
    assert load_saelens(result).sae.latents == config["d_sae"]
