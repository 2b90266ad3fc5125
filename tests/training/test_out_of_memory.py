from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from saetui.activations.models import open_model
from saetui.activations.tokens import prepare_tokens
from saetui.home import Home
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.events import LoggedEvent, read_events
from saetui.rundir.layout import RunDirectory
from saetui.sae import SparseAutoencoder, build
from saetui.training.gradient_step import gradient_step
from saetui.training.out_of_memory import Chunks, OutOfMemory, bytes_asked, is_out_of_memory
from tests.training.runs import make_run, start_trainer
from tests.training.tiny import SITES, STEPS, results, tiny_spec, tiny_text, undisturbed

CPU = torch.device("cpu")
FORWARD_PASSES = 12


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tiny_text(tmp_path)


def out_of_memory(run: RunDirectory) -> list[LoggedEvent]:
    return [event for event in read_events(run.events) if event.kind == "out_of_memory"]


def same_but_for_rounding(run: RunDirectory, other: RunDirectory) -> bool:
    for ours, theirs in zip(run.results(), other.results(), strict=True):
        a, b = (load_file(path / "sae_weights.safetensors") for path in (ours, theirs))
        if not all(torch.allclose(a[name], b[name], rtol=1e-3, atol=1e-4) for name in a):
            return False
    return True


def cramped(tokens: int) -> SparseAutoencoder:
    """An SAE on a machine that has memory for so many tokens at a time."""
    sae = build("topk", 16, 16, 64, torch.Generator().manual_seed(0), k=4)
    loss = sae.loss

    def loss_of_few(x: torch.Tensor, *args: object, **kwargs: object) -> object:
        if x.shape[0] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has …")
        return loss(x, *args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    setattr(sae, "loss", loss_of_few)  # noqa: B010  # mypy does not let a method be replaced otherwise
    return sae


def learn(sae: SparseAutoencoder, x: torch.Tensor, micro_batch: Chunks) -> None:
    """A step that changes no weight."""
    optimizer = torch.optim.SGD(sae.parameters(), lr=0.0)
    gradient_step(sae, optimizer, x, micro_batch=micro_batch, largest_norm=float("inf"))


def test_the_real_words_of_the_cpu_allocator_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert bytes_asked(caught.value) == 2**60


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total …"), 2_684_354_560),
        (RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED at CUDACachingAllocator.cpp:838"), None),
        (RuntimeError("[enforce fail] not enough memory: you tried to allocate 4096 bytes."), 4096),
        (MemoryError(), None),
        (RuntimeError("CUDA error: out of memory"), None),
    ],
)
def test_each_way_of_saying_it_is_understood(error: Exception, asked: int | None) -> None:
    assert is_out_of_memory(error)
    assert bytes_asked(error) == asked


def test_other_errors_are_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_halved_until_it_fits_the_gradient_is_that_of_the_whole() -> None:
    x = torch.randn(100, 16, generator=torch.Generator().manual_seed(1))
    roomy, narrow = cramped(100), cramped(13)
    learn(roomy, x, Chunks(100, "tokens", CPU))
    micro_batch = Chunks(100, "tokens", CPU)
    learn(narrow, x, micro_batch)
    assert [shortage.size for shortage in micro_batch.shortages()] == [50, 25, 13]
    assert micro_batch.shortages() == []
    for ours, theirs in zip(narrow.parameters(), roomy.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)
    learn(narrow, x, micro_batch)
    assert micro_batch.shortages() == []


def test_where_not_one_token_fits_the_failure_has_numbers() -> None:
    micro_batch = Chunks(8, "tokens", CPU)
    with pytest.raises(
        OutOfMemory, match=r"one of its tokens at a time: 20\.0 MiB could not be allocated, [\d.]+ [MG]iB are free"
    ):
        learn(cramped(0), torch.randn(8, 16), micro_batch)
    assert micro_batch.size == 1


def test_a_run_short_of_memory_at_a_random_step_ends_as_if_it_had_not_been(home: Home, text: Path) -> None:
    run = make_run(home, "short", tiny_spec(text, micro_batch_size=64))
    # Two sites: an odd hit is a step of the first. Undisturbed, the model runs FORWARD_PASSES times.
    hits = random.randrange(3, 2 * STEPS), random.randint(1, FORWARD_PASSES)
    failpoints = f"step.accumulate=out_of_memory@{hits[0]};forward.run=out_of_memory@{hits[1]}"
    assert start_trainer(home, run, SAETUI_FAILPOINTS=failpoints).wait(60) == 0, (hits, run.log.read_text())
    said = {event.data["site"]: event.data for event in out_of_memory(run)}
    site = SITES["topk"][(hits[0] + 1) % 2]
    assert said.keys() == {site, None}, hits
    assert said[site]["tokens"] == 32
    # Half of what a pass takes, or of the held-out text, whose length is that of Python's own source.
    tokenizer = open_model("bundled:tiny", device="cpu", last_layer=0).tokenizer
    dataset = prepare_tokens(str(text), tokenizer, context_length=32, cache_directory=text.parent / "tokens")
    assert said[None]["contexts"] in {32, (len(dataset.held_out) + 1) // 2}, hits
    assert same_but_for_rounding(run, undisturbed()), hits


@pytest.mark.slow
def test_killed_after_a_shortage_and_resumed_it_goes_on_in_the_same_pieces(home: Home, text: Path) -> None:
    failpoints = "step.accumulate=out_of_memory@7;forward.run=out_of_memory@5"
    whole = make_run(home, "whole", tiny_spec(text))
    assert start_trainer(home, whole, SAETUI_FAILPOINTS=failpoints).wait(60) == 0, whole.log.read_text()
    run = make_run(home, "killed", tiny_spec(text))
    assert start_trainer(home, run, SAETUI_FAILPOINTS=f"{failpoints};step.accumulate=kill@30").wait(60) == -9
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert len(out_of_memory(whole)) == len(out_of_memory(run)) == 2
    assert results(run) == results(whole) != results(undisturbed())


def test_what_cannot_be_halved_fails_with_what_was_reached_saved(home: Home, text: Path) -> None:
    run = make_run(home, "hopeless", tiny_spec(text, checkpoint_interval=1000))
    # The second site fails at step 10, when the first has taken it.
    assert start_trainer(home, run, SAETUI_FAILPOINTS="step.accumulate=out_of_memory@20+").wait(60) == 1
    error = read_events(run.events)[-1].data["error"]
    assert error["kind"] == "out_of_memory"
    assert "at step 10" in error["message"] and "saved after step 9" in error["message"]
    assert "layer_0.resid_post, layer_1.resid_post" in error["message"]
    assert "1 of the 2 sites would fit" in error["suggestion"]
    assert [info.step for info in list_checkpoints(run.checkpoints)] == [9]
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())
