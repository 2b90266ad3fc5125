from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from saetui.errors import FormatError, TrainingError
from saetui.rundir.checkpoints import list_checkpoints
from saetui.training.checkpoint import (
    LoopState,
    Means,
    SiteState,
    load_checkpoint,
    load_loop_state,
    load_origin,
    require_space,
    save_checkpoint,
)
from saetui.training.tensor_file import write_tensors
from tests.training.origins import made_up_origin

CPU = torch.device("cpu")
ORIGIN = made_up_origin()


def state(**tensors: torch.Tensor) -> dict[str, SiteState]:
    return {"layer_1.resid_post": SiteState({"sae.W": torch.arange(6.0).reshape(2, 3), **tensors}, {"gradients": 3})}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    loop = LoopState(evaluation_owed=True, ahead=("a",), micro_batches={"a": 7}, contexts=4, seconds=1.5)
    save_checkpoint(tmp_path, 10, ORIGIN, state(), {"rows": 640}, Means(0.25, 31.5), loop)
    saved = load_checkpoint(tmp_path / "step_000000010", CPU)
    assert (saved.step, saved.stream) == (10, {"rows": 640})
    site = saved.sites["layer_1.resid_post"]
    assert site.tensors["sae.W"].equal(torch.arange(6.0).reshape(2, 3))
    assert site.values == {"gradients": 3}
    assert load_loop_state(tmp_path / "step_000000010") == loop
    assert load_origin(tmp_path / "step_000000010") == ORIGIN
    (listed,) = list_checkpoints(tmp_path)
    assert (listed.fvu, listed.l0) == (0.25, 31.5)


def test_the_global_random_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    torch.manual_seed(5)
    torch.rand(3)
    save_checkpoint(tmp_path, 1, ORIGIN, state(), {}, None)
    expected = torch.rand(4)
    torch.manual_seed(0)
    load_loop_state(tmp_path / "step_000000001")
    assert torch.rand(4).equal(expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["sae.b_enc", "optimizer.W.exp_avg"])
def test_nothing_that_is_not_finite_is_saved(tmp_path: Path, name: str, bad: float) -> None:
    with pytest.raises(
        TrainingError, match=rf"{name.partition('.')[2]} of layer_1.resid_post is not finite after step 10"
    ):
        save_checkpoint(tmp_path, 10, ORIGIN, state(**{name: torch.tensor([1.0, bad])}), {}, None)
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_room_nothing_is_begun_and_both_numbers_are_said(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    require_space(tmp_path, 1000)
    with pytest.raises(OSError, match=r"No space left on device \([\d.]+ [KMGT]iB needed, [\d.]+ [KMGT]iB free\)"):
        require_space(tmp_path, free + 10**9)


@pytest.mark.parametrize(
    ("version", "words", "way_out"),
    [
        (
            2,
            "began under earlier rules (version 2, now 3): it trained on first positions",
            "Retry the job to start again",
        ),
        (9, "has version 9, this saetui reads 3", "Resume it with the saetui that wrote it"),
    ],
)
def test_another_version_is_refused_with_the_way_out(tmp_path: Path, version: int, words: str, way_out: str) -> None:
    save_checkpoint(tmp_path, 10, ORIGIN, state(), {}, None)
    path = list_checkpoints(tmp_path)[0].path
    # Of another version nothing else need be as it is now.
    (path / "trainer.json").write_bytes(b'{"version":%d,"step":10}' % version)
    for load in (load_origin, load_loop_state, lambda place: load_checkpoint(place, CPU)):
        with pytest.raises(FormatError) as refused:
            load(path)
        assert words in refused.value.message
        assert way_out in (refused.value.suggestion or "")


def test_the_tensor_files_are_safetensors_of_every_type_and_shape(tmp_path: Path) -> None:
    tensors = {
        "double": torch.rand(3, dtype=torch.float64),
        "single": torch.rand(2, 3, 4),
        "transposed": torch.rand(3, 5).t(),
        "half": torch.rand(5).to(torch.float16),
        "brain": torch.rand(7).to(torch.bfloat16),
        "long": torch.tensor(7),
        "bytes": torch.tensor([1, 2, 255], dtype=torch.uint8),
        "flags": torch.tensor([True, False, True]),
        "nothing": torch.zeros(0, 4),
    }
    write_tensors(tmp_path / "t.safetensors", tensors)
    loaded = load_file(tmp_path / "t.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].equal(tensor), name


def test_a_disk_that_is_full_is_an_error_with_its_number() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(OSError, match=os.strerror(28)):
        write_tensors(full, {"a": torch.rand(10)})
