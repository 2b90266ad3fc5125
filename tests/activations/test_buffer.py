from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from torch import Tensor

from saetui.activations.buffer import BatchStream, buffer_bytes
from saetui.activations.extraction import ActivationExtractor
from saetui.activations.models import LanguageModel
from saetui.activations.rows import ContextIndices, ModelRows, RowSink
from saetui.activations.sites import HookPoint, Site
from saetui.activations.token_dataset import TokenDataset
from saetui.activations.token_writer import KEPT
from saetui.errors import FormatError, InvalidInput, ModelError
from saetui.formats.caches import TokenManifest

from .families import WIDTH

SITES = [Site(0, HookPoint.RESID_PRE), Site(1, HookPoint.MLP_IN), Site(1, HookPoint.MLP_OUT)]
FIRST = SITES[0].name


def make_stream(
    model: LanguageModel,
    dataset: TokenDataset,
    seed: int = 0,
    batch_size: int = 50,
    contexts_per_block: int = 24,
    micro_batch: int = 5,
    background: bool = False,
) -> BatchStream:
    return BatchStream(
        ActivationExtractor(model, SITES),
        dataset,
        seed=seed,
        batch_size=batch_size,
        contexts_per_block=contexts_per_block,
        micro_batch=micro_batch,
        background=background,
    )


def rows_of(stream: BatchStream, batches: int) -> Tensor:
    return torch.cat([torch.cat(list(stream.next().values()), 1) for _ in range(batches)])


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    """300 contexts, each of one token of its own behind a special one: no two rows at layer 0 are equal."""
    contexts = np.repeat(np.arange(1, 301, dtype=np.uint16)[:, None], 16, axis=1)
    contexts[:, 0] = 0
    path = tmp_path_factory.mktemp("labelled") / "tokens.bin"
    path.write_bytes(contexts.tobytes() + np.full(300, 15, KEPT).tobytes())
    manifest = TokenManifest(
        contexts=300,
        context_length=16,
        dtype="uint16",
        documents=300,
        bad_rows=0,
        tokens=4500,
        largest_token=300,
        checksum="",
    )
    return TokenDataset("labelled", path, manifest, special_ids=(0,), cached=False)


def train_rows(model: LanguageModel, dataset: TokenDataset) -> tuple[Tensor, Tensor]:
    """Every row that may be trained on, and the context of each."""
    activations = ActivationExtractor(model, SITES[:1])(dataset.read(dataset.train))
    context = torch.arange(len(dataset.train))[:, None].expand(activations.keep.shape)
    return activations.values[FIRST][activations.keep], context[activations.keep]


def identify(rows: Tensor, known: Tensor) -> Tensor:
    """Which of the known rows each row is: an embedding is exact, however many are looked up at a time."""
    place = {row.numpy().tobytes(): index for index, row in enumerate(known)}
    assert len(place) == len(known)
    return torch.tensor([place[row.numpy().tobytes()] for row in rows])


def test_a_batch_has_the_rows_of_every_site(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    batch = make_stream(gpt2, dataset).next()
    assert list(batch) == [site.name for site in SITES]
    assert {tuple(rows.shape) for rows in batch.values()} == {(50, WIDTH)}
    assert not any(rows.requires_grad for rows in batch.values())


def test_a_row_is_the_same_token_at_every_site(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    stream = make_stream(gpt2, dataset)
    mlp = gpt2.layers[1].get_submodule("mlp")
    for _ in range(20):
        batch = stream.next()
        with torch.no_grad():
            made = mlp(batch["layer_1.mlp_in"])
        torch.testing.assert_close(made, batch["layer_1.mlp_out"], rtol=1e-4, atol=1e-4)


def test_each_trained_token_comes_once_a_pass_and_nothing_else_comes(
    gpt2: LanguageModel, labelled: TokenDataset
) -> None:
    known, _ = train_rows(gpt2, labelled)
    assert len(known) == labelled.train_tokens
    # Blocks of a whole epoch: two windows hold all of the first epoch and half of the second one.
    contexts = len(labelled.train)
    stream = make_stream(gpt2, labelled, batch_size=1, contexts_per_block=contexts)
    half = len(known) // 2
    counts = torch.bincount(identify(rows_of(stream, len(known) + half)[:, :WIDTH], known), minlength=len(known))
    assert counts.min() == 1
    assert counts.max() == 2
    assert stream.tokens == len(known) + half
    assert stream.epoch == pytest.approx(1.5, abs=0.01)


def test_a_short_text_is_passed_over_again_and_again(gpt2: LanguageModel, labelled: TokenDataset) -> None:
    known, _ = train_rows(gpt2, labelled)
    stream = make_stream(gpt2, labelled, contexts_per_block=700)
    counts = torch.bincount(identify(rows_of(stream, 500)[:, :WIDTH], known), minlength=len(known))
    assert stream.epoch > 5
    assert counts.min() >= 1


@pytest.mark.parametrize("kill", random.Random(0).sample(range(120), 8))
def test_a_stream_killed_at_any_place_goes_on_bit_for_bit(
    kill: int, gpt2: LanguageModel, dataset: TokenDataset
) -> None:
    stream = make_stream(gpt2, dataset)
    for _ in range(kill):
        stream.next()
    state = json.loads(json.dumps(stream.state()))
    expected = rows_of(stream, 15)
    resumed = make_stream(gpt2, dataset)
    resumed.restore(state)
    assert resumed.state() == state
    assert torch.equal(rows_of(resumed, 15), expected)
    assert resumed.tokens == stream.tokens


def test_a_window_filled_in_the_background_has_the_same_rows(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    expected = make_stream(gpt2, dataset)
    stream = make_stream(gpt2, dataset, background=True)
    assert torch.equal(rows_of(stream, 40), rows_of(expected, 40))
    state = stream.state()
    assert state == expected.state()
    after = rows_of(expected, 20)
    assert torch.equal(rows_of(stream, 20), after)
    stream.restore(state)
    assert torch.equal(rows_of(stream, 20), after)
    resumed = make_stream(gpt2, dataset, background=True)
    resumed.restore(state)
    assert torch.equal(rows_of(resumed, 20), after)


def test_what_fails_in_the_background_is_told(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    class Broken(ModelRows):
        left = 8

        def read(self, contexts: ContextIndices, sink: RowSink) -> None:
            self.left -= 1
            if self.left < 0:
                raise FormatError("damaged")
            super().read(contexts, sink)

    source = Broken(ActivationExtractor(gpt2, SITES), dataset)
    stream = BatchStream(source, dataset, batch_size=50, seed=0, contexts_per_block=24, micro_batch=5, background=True)
    with pytest.raises(FormatError, match="damaged"):
        rows_of(stream, 40)


def test_a_stream_can_go_back(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    stream = make_stream(gpt2, dataset)
    start = stream.state()
    expected = rows_of(stream, 40)
    stream.restore(start)
    assert torch.equal(rows_of(stream, 40), expected)


def test_how_batches_are_cut_does_not_change_the_order(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    small, large = make_stream(gpt2, dataset, batch_size=10), make_stream(gpt2, dataset, batch_size=1000)
    assert torch.equal(rows_of(small, 100), rows_of(large, 1))


def test_a_site_alone_gets_the_rows_that_it_gets_among_others(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    together = make_stream(gpt2, dataset)
    alone = BatchStream(
        ActivationExtractor(gpt2, SITES[1:2]), dataset, batch_size=50, seed=0, contexts_per_block=24, micro_batch=5
    )
    name = SITES[1].name
    for _ in range(30):
        assert torch.equal(alone.next()[name], together.next()[name])


def test_the_seed_decides_the_order(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    assert not torch.equal(make_stream(gpt2, dataset).next()[FIRST], make_stream(gpt2, dataset, seed=1).next()[FIRST])


def test_neighbours_in_a_batch_are_not_neighbours_in_the_text(gpt2: LanguageModel, labelled: TokenDataset) -> None:
    """Adjacent rows are of one context about as rarely as random draws from the window's contexts are."""
    known, context = train_rows(gpt2, labelled)
    stream = make_stream(gpt2, labelled, batch_size=500, contexts_per_block=64)
    # The first window has half of one block alone.
    stream.next()
    where = torch.stack([context[identify(stream.next()[FIRST], known)] for _ in range(24)])
    pairs = where[:, 1:].numel()
    shared = int((where[:, 1:] == where[:, :-1]).sum())
    # A window has rows of 128 contexts; in the order of the text 14 of 15 neighbours would be of one context.
    by_chance = pairs / 128
    assert abs(shared - by_chance) < 5 * by_chance**0.5
    # A batch draws on nearly all the contexts of its window, not on a stretch of them.
    assert min(len(batch.unique()) for batch in where) > 100


def test_the_memory_held_is_the_estimated_memory(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    stream = make_stream(gpt2, dataset)
    estimated = buffer_bytes(24, 16, [WIDTH] * 3, 4)
    assert stream.nbytes == estimated
    rows_of(stream, 40)
    assert stream.nbytes == estimated
    ahead = make_stream(gpt2, dataset, background=True)
    assert ahead.nbytes == buffer_bytes(24, 16, [WIDTH] * 3, 4, background=True)


def test_rows_are_handed_out_in_the_dtype_asked_for(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    extractor = ActivationExtractor(gpt2, SITES)
    stream = BatchStream(extractor, dataset, batch_size=8, seed=0, dtype=torch.bfloat16)
    assert {rows.dtype for rows in stream.next().values()} == {torch.bfloat16}


def test_a_batch_belongs_to_who_took_it(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    stream, same = make_stream(gpt2, dataset), make_stream(gpt2, dataset)
    for _ in range(20):
        batch = stream.next()
        assert torch.equal(batch[FIRST], same.next()[FIRST])
        batch[FIRST].zero_()


def test_a_stream_of_before_first_positions_were_left_out_is_refused(
    gpt2: LanguageModel, dataset: TokenDataset
) -> None:
    state = make_stream(gpt2, dataset).state()
    del state["train_tokens"]
    with pytest.raises(InvalidInput, match="older saetui") as refused:
        make_stream(gpt2, dataset).restore(state)
    assert refused.value.suggestion


@pytest.mark.parametrize("name", ["contexts_per_block", "micro_batch", "seed", "train_tokens"])
def test_a_state_of_another_stream_is_refused(name: str, gpt2: LanguageModel, dataset: TokenDataset) -> None:
    state = make_stream(gpt2, dataset).state()
    with pytest.raises(InvalidInput, match=name):
        make_stream(gpt2, dataset).restore({**state, name: state[name] + 1})


def test_tokens_that_the_model_does_not_know_are_refused(gpt2: LanguageModel, dataset: TokenDataset) -> None:
    with pytest.raises(InvalidInput):
        make_stream(gpt2, dataset, batch_size=0)
    with pytest.raises(ModelError, match="at most 64"):
        gpt2.require_reads(1000, 0)
