"""Activations kept on disk are what the model gave, whole and sound, or are refused."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from saetui.activations import tokens
from saetui.activations.buffer import BatchStream
from saetui.activations.cache_layout import ActivationEntry, cached_bytes, empty_manifest, find_entry
from saetui.activations.cache_reading import CachedRows
from saetui.activations.cache_recording import RecordingRows, fill_entries
from saetui.activations.cache_writing import EntryWriter
from saetui.activations.extraction import ActivationExtractor
from saetui.activations.models import LanguageModel, open_model
from saetui.activations.rows import ContextIndices, ModelRows, RowReader, RowSink
from saetui.activations.sites import HookPoint, Site
from saetui.activations.token_dataset import TokenDataset
from saetui.activations.tokens import prepare_tokens
from saetui.errors import FormatError, ModelError

SITES = [Site(1, HookPoint.MLP_IN), Site(1, HookPoint.MLP_OUT), Site(2, HookPoint.RESID_PRE)]
PER_SHARD = 48


class Cache:
    """Entries of three sites over a small dataset, in shards of 48 contexts."""

    def __init__(self, model: LanguageModel, dataset: TokenDataset, root: Path) -> None:
        self.model, self.dataset, self.root = model, dataset, root
        self.extractor = ActivationExtractor(model, SITES)
        self.source = ModelRows(self.extractor, dataset)
        self.entries = [find_entry(root, self.extractor, site, dataset) for site in SITES]

    def writers(self, seeds: Sequence[int] = (0, 0, 0)) -> list[EntryWriter]:
        opened = []
        for entry, site, seed in zip(self.entries, SITES, seeds):
            fresh = empty_manifest(self.extractor, site, self.dataset, "text", seed)
            # Shards of the usual size would all be one.
            fresh = msgspec.structs.replace(fresh, contexts_per_shard=PER_SHARD)
            writer = EntryWriter.open(entry, fresh, self.dataset)
            if writer is not None:
                opened.append(writer)
        return opened

    def fill(self, seeds: Sequence[int] = (0, 0, 0)) -> Cache:
        fill_entries(self.source, self.writers(seeds))
        return self

    def rows(self) -> CachedRows:
        return CachedRows(self.entries, self.dataset, torch.device("cpu"))

    def stream(self, source: RowReader, seed: int = 0, contexts_per_block: int = 96) -> BatchStream:
        return BatchStream(
            source, self.dataset, batch_size=200, seed=seed, contexts_per_block=contexts_per_block, micro_batch=16
        )

    def shards(self) -> list[Path]:
        return sorted(self.root.glob("*/*.safetensors"))


@pytest.fixture
def cache(gpt2: LanguageModel, dataset: TokenDataset, tmp_path: Path) -> Cache:
    return Cache(gpt2, dataset, tmp_path)


class Killed(Exception):
    """What a test throws to end a writer without any farewell."""


class Counting:
    """A source that counts what is read of it, and is killed when it has given so many micro-batches."""

    def __init__(self, source: RowReader, last: int | None = None) -> None:
        self._source, self._last, self.reads = source, last, 0
        self.widths, self.dtype, self.device = source.widths, source.dtype, source.device

    def read(self, contexts: ContextIndices, sink: RowSink) -> None:
        if self.reads == self._last:
            raise Killed
        self.reads += 1
        self._source.read(contexts, sink)


class Overflowing:
    """A source one of whose values is not finite, from a read on."""

    def __init__(self, source: RowReader, value: float, read: int) -> None:
        self._source, self._value, self._left = source, value, read
        self.widths, self.dtype, self.device = source.widths, source.dtype, source.device

    def read(self, contexts: ContextIndices, sink: RowSink) -> None:
        def see(name: str, rows: Tensor) -> None:
            if name == "layer_1.mlp_out" and self._left < 0:
                rows = rows.clone()
                rows[7, 3] = self._value
            sink(name, rows)

        self._left -= 1
        self._source.read(contexts, see)


def batches(stream: BatchStream, count: int) -> list[Tensor]:
    return [torch.cat(list(stream.next().values()), 1) for _ in range(count)]


def equal(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def no_end(error: OSError | None) -> None:
    raise AssertionError(f"recording ended: {error}")


def test_batches_from_the_cache_are_those_of_the_model_bit_for_bit(cache: Cache) -> None:
    cache.fill()
    for seed in (0, 3):
        expected = batches(cache.stream(cache.source, seed), 30)
        assert equal(batches(cache.stream(cache.rows(), seed), 30), expected)


def test_sites_written_in_different_orders_pair_up(cache: Cache) -> None:
    cache.fill(seeds=(0, 5, 9))
    assert equal(batches(cache.stream(cache.rows()), 40), batches(cache.stream(cache.source), 40))


def test_shards_are_safetensors_files_that_the_manifest_vouches_for(cache: Cache) -> None:
    cache.fill()
    manifest = cache.entries[0].read_manifest()
    assert manifest is not None and manifest.is_complete
    assert len(manifest.shards) > 2
    assert sum(shard.rows for shard in manifest.shards) == manifest.rows == cache.dataset.train_tokens
    size = 0
    for shard in manifest.shards:
        path = cache.entries[0].directory / shard.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == shard.checksum
        assert path.stat().st_size == shard.bytes
        tensors = load_file(path)
        assert tensors["activations"].shape == (shard.rows, manifest.width)
        assert int(tensors["rows"].sum()) == shard.rows
        size += tensors["activations"].nbytes
    assert 3 * size == cached_bytes(cache.extractor, cache.dataset)


def test_the_manifest_says_what_is_in_it(cache: Cache) -> None:
    cache.fill()
    found = json.loads((cache.entries[1].directory / "manifest.json").read_text())
    named = {name: found[name] for name in ("site", "module", "side", "dtype", "dataset", "width")}
    assert named == {
        "site": "layer_1.mlp_out",
        "module": "transformer.h.1.mlp",
        "side": "output",
        "dtype": "float32",
        "dataset": "text",
        "width": 16,
    }
    assert found["fingerprint"] == cache.model.fingerprint(1)


def test_another_model_site_dtype_or_text_has_another_place(
    cache: Cache, family: Callable[[str], LanguageModel]
) -> None:
    other = ActivationExtractor(family("llama"), SITES)
    places = {entry.key for entry in cache.entries}
    assert len(places) == 3
    assert not places & {find_entry(cache.root, other, site, cache.dataset).key for site in SITES}


def test_naming_the_entries_of_all_sites_reads_each_weight_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(tensor: Tensor) -> npt.NDArray[Any]:
        read.append(tensor.nbytes)
        return numpy(tensor)

    numpy, read = Tensor.numpy, list[int]()
    model = open_model(str(cache.model.directory), device="cpu")
    extractor = ActivationExtractor(model, SITES)
    monkeypatch.setattr(Tensor, "numpy", counted)
    found = [find_entry(cache.root, extractor, site, cache.dataset).key for site in reversed(SITES)]
    assert found == [entry.key for entry in reversed(cache.entries)]
    assert sum(read) <= sum(weight.nbytes for weight in model.network.state_dict().values())


@pytest.mark.parametrize("kill", random.Random(0).sample(range(1, 20), 4))
def test_a_writer_killed_at_any_place_is_gone_on_with(kill: int, cache: Cache, tmp_path: Path) -> None:
    whole = Cache(cache.model, cache.dataset, tmp_path / "whole").fill()
    writers = cache.writers()
    with pytest.raises(Killed):
        fill_entries(Counting(cache.source, last=kill), writers)
    second = Counting(cache.source)
    fill_entries(second, cache.writers())
    total = -(-len(cache.dataset.train) // 16)
    assert second.reads == total - kill // 3 * 3
    assert [path.read_bytes() for path in cache.shards()] == [path.read_bytes() for path in whole.shards()]


def test_what_a_kill_leaves_of_a_shard_is_swept_away(cache: Cache) -> None:
    with pytest.raises(Killed):
        fill_entries(Counting(cache.source, last=4), cache.writers())
    half_made = cache.entries[0].directory / ".00001.safetensors"
    half_made.write_bytes(b"half")
    cache.fill()
    assert not half_made.exists()
    assert equal(batches(cache.stream(cache.rows()), 5), batches(cache.stream(cache.source), 5))


def test_a_training_records_its_first_pass_and_reads_the_rest_from_the_cache(cache: Cache) -> None:
    model = Counting(cache.source)
    recording = RecordingRows(model, cache.writers(), lambda error: cache.rows())
    stream = cache.stream(recording)
    found = batches(stream, 90)
    assert stream.epoch > 2
    assert model.reads == -(-len(cache.dataset.train) // 16)
    assert equal(found, batches(cache.stream(cache.source), 90))


@pytest.mark.parametrize("contexts_per_block", [16, 96])
def test_a_resumed_training_goes_on_recording(contexts_per_block: int, cache: Cache) -> None:
    def finished(error: OSError | None) -> RowReader:
        assert error is None
        done.append(True)
        return cache.rows()

    done: list[bool] = []
    first = RecordingRows(cache.source, cache.writers(), no_end)
    stream = cache.stream(first, contexts_per_block=contexts_per_block)
    batches(stream, 12)
    state = stream.state()
    first.close()  # the system releases a dead process's locks
    resumed = cache.stream(
        RecordingRows(cache.source, cache.writers(), finished), contexts_per_block=contexts_per_block
    )
    resumed.restore(state)
    assert equal(batches(resumed, 50), batches(stream, 50))
    assert done == [True]


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Writing more than so many bytes into a file fails, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_ends_the_recording_and_not_the_training(cache: Cache) -> None:
    def finished(error: OSError | None) -> None:
        ends.append(error)

    ends: list[OSError | None] = []
    stream = cache.stream(RecordingRows(cache.source, cache.writers(), finished))
    with files_limited_to(20_000):
        found = batches(stream, 60)
    assert len(ends) == 1
    assert isinstance(ends[0], OSError)
    assert equal(found, batches(cache.stream(cache.source), 60))
    cache.fill()
    assert equal(batches(cache.stream(cache.rows()), 60), found)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_not_kept(value: float, cache: Cache) -> None:
    with pytest.raises(ModelError, match=r"layer_1\.mlp_out in float32 that are not finite") as caught:
        fill_entries(Overflowing(cache.source, value, read=4), cache.writers())
    assert "float32 or bfloat16" in str(caught.value.suggestion)
    recording = RecordingRows(Overflowing(cache.source, value, read=0), cache.writers(), no_end)
    with pytest.raises(ModelError, match="not finite"):
        batches(cache.stream(recording), 30)
    recording.close()
    cache.fill()
    read_all(cache)


def read_all(cache: Cache) -> None:
    rows = cache.rows()
    try:
        rows.read(cache.dataset.train, lambda name, value: None)
    finally:
        rows.close()


def test_one_flipped_bit_is_refused_wherever_it_is(cache: Cache) -> None:
    shards = cache.fill().shards()
    chance = random.Random(0)
    for shard in shards[:2]:
        content = shard.read_bytes()
        header = 8 + int.from_bytes(content[:8], "little")
        index = header + 16 * PER_SHARD
        for place in (0, 30, header + 1, header + 8 * PER_SHARD, index, *chance.sample(range(len(content)), 10)):
            damaged = bytearray(content)
            damaged[place] ^= 1 << chance.randrange(8)
            shard.write_bytes(damaged)
            with pytest.raises(FormatError, match=shard.name) as caught:
                read_all(cache)
            assert "saetui cache delete" in str(caught.value.suggestion)
        shard.write_bytes(content)
    read_all(cache)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [cut_short, Path.unlink])
def test_a_shard_that_is_not_whole_is_refused_before_the_first_row(
    damage: Callable[[Path], None], cache: Cache
) -> None:
    shard = cache.fill().shards()[1]
    damage(shard)
    with pytest.raises(FormatError, match=shard.name):
        cache.rows()


@pytest.mark.parametrize("damage", [cut_short, Path.unlink])
def test_what_follows_a_shard_that_is_not_whole_is_written_again(damage: Callable[[Path], None], cache: Cache) -> None:
    shards = cache.fill().shards()
    whole = [path.read_bytes() for path in shards]
    damage(shards[1])
    with pytest.raises(Killed):
        fill_entries(Counting(cache.source, last=1), cache.writers())
    manifest = cache.entries[[entry.directory for entry in cache.entries].index(shards[1].parent)].read_manifest()
    assert manifest is not None and not manifest.is_complete
    cache.fill()
    assert [path.read_bytes() for path in shards] == whole
    read_all(cache)


def test_a_partial_entry_is_not_read(cache: Cache) -> None:
    with pytest.raises(Killed):
        fill_entries(Counting(cache.source, last=4), cache.writers())
    with pytest.raises(FormatError, match="not complete"):
        cache.rows()


def test_one_process_writes_at_a_time_and_none_while_others_read(cache: Cache) -> None:
    writers = cache.writers()
    assert cache.writers() == []
    fill_entries(cache.source, writers)
    rows = cache.rows()
    assert not cache.entries[0].lock(exclusive=True).held
    rows.close()
    assert cache.entries[0].lock(exclusive=True).held


def test_one_flipped_bit_in_a_manifest_is_refused_and_never_rows_of_other_contexts(cache: Cache) -> None:
    entry = cache.fill().entries[0]
    path = entry.directory / "manifest.json"
    content = path.read_text()
    for before, after in (('"order_seed": 0', '"order_seed": 1'), ('"layer_1.mlp_in"', '"layer_1.mlp_io"')):
        assert before in content
        path.write_text(content.replace(before, after))
        with pytest.raises(FormatError, match="manifest") as caught:
            cache.rows()
        assert f"saetui cache delete {entry.key[:8]}" in str(caught.value.suggestion)
    cache.fill()
    assert equal(batches(cache.stream(cache.rows()), 5), batches(cache.stream(cache.source), 5))


def test_a_manifest_that_cannot_be_understood_is_made_anew(cache: Cache) -> None:
    entry: ActivationEntry = cache.fill().entries[0]
    (entry.directory / "manifest.json").write_text("{}")
    cache.fill()
    assert equal(batches(cache.stream(cache.rows()), 5), batches(cache.stream(cache.source), 5))


def test_rows_of_tokens_under_an_older_rule_are_not_taken_for_new_ones(
    gpt2: LanguageModel, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry() -> ActivationEntry:
        dataset = prepare_tokens(str(corpus), gpt2.tokenizer, context_length=16, cache_directory=tmp_path)
        return find_entry(tmp_path / "activations", ActivationExtractor(gpt2, SITES[:1]), SITES[0], dataset)

    with monkeypatch.context() as before:
        before.setattr(tokens, "_LAYOUT", "saetui tokens 3")
        old = entry()
    assert entry().key != old.key
