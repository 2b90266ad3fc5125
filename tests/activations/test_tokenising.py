"""Tokenising in a process of its own: the same tokens and errors, and nothing left behind in the one that asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shutil import which

import numpy as np
import psutil
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from saetui.activations.token_dataset import TokenDataset
from saetui.activations.tokens import TokenProgress, prepare_tokens
from saetui.errors import DatasetError
from tests.activations.preparing import CONTENTS, LINES, Preparer, write
from tests.conditions import eventually


@pytest.fixture
def text(tmp_path: Path) -> Path:
    write(tmp_path / "text" / "plain.txt", "\n".join(LINES))
    return write(tmp_path / "text" / "rows.jsonl", CONTENTS[".jsonl"] + "\nno row\n").parent


def apart(prepare: Preparer, source: Path, cache: Path, seen: list[TokenProgress] | None = None) -> TokenDataset:
    note = None if seen is None else seen.append
    return prepare_tokens(
        str(source), prepare.tokenizer, context_length=8, cache_directory=cache, own_process=True, progress=note
    )


def workers(parent: psutil.Process) -> list[psutil.Process]:
    """Its processes that tokenise: a test process has others too."""
    found = []
    for child in parent.children():
        with suppress(psutil.NoSuchProcess):  # a child of another test that has ended, and that nobody has waited for
            if "saetui.activations.tokenising" in child.cmdline():
                found.append(child)
    return found


def test_tokens_and_manifest_are_those_of_this_process(prepare: Preparer, text: Path, tmp_path: Path) -> None:
    seen: list[TokenProgress] = []
    theirs, ours = apart(prepare, text, tmp_path / "apart", seen), prepare(text)
    assert not ours.cached and not theirs.cached
    assert theirs.path.read_bytes() == ours.path.read_bytes()
    assert theirs.manifest == ours.manifest
    assert theirs.bad_rows == 1
    assert seen == prepare.seen
    assert seen[-1].stage == "tokenising" and seen[-1].documents == ours.documents


def test_a_refusal_comes_back_whole_and_leaves_nothing(prepare: Preparer, tmp_path: Path) -> None:
    damaged = write(tmp_path / "rows.csv", "id,other\n1,a\n")
    with pytest.raises(DatasetError) as theirs:
        apart(prepare, damaged, tmp_path / "apart")
    with pytest.raises(DatasetError) as ours:
        prepare(damaged)
    assert (theirs.value.message, theirs.value.suggestion) == (ours.value.message, ours.value.suggestion)
    assert not [path for path in (tmp_path / "apart").rglob("*") if path.name == "tokens.bin"]


def test_a_process_that_is_killed_is_told_and_leaves_nothing(prepare: Preparer, tmp_path: Path) -> None:
    killed: list[psutil.Process] = []

    def kill(now: TokenProgress) -> None:
        # It may have said more before it was killed.
        if now.stage == "tokenising" and not killed:
            killed.extend(workers(psutil.Process()))
            killed[0].kill()

    # So much that it is not done when its first progress is told.
    long = write(tmp_path / "long.txt", "\n".join(LINES * 40_000))
    cache = tmp_path / "apart"
    with pytest.raises(DatasetError, match="the process that does it was ended by signal 9") as caught:
        prepare_tokens(
            str(long), prepare.tokenizer, context_length=8, cache_directory=cache, own_process=True, progress=kill
        )
    assert caught.value.suggestion
    assert not [path for path in cache.rglob("*") if path.name == "tokens.bin"]


def test_a_process_that_ends_without_reading_its_request_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than a pipe holds: it cannot all be written before that process has ended.
    words = WordLevel({"[UNK]": 0} | {f"word{number}": number for number in range(1, 20_000)}, unk_token="[UNK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), unk_token="[UNK]")  # type: ignore[no-untyped-call]
    monkeypatch.setattr(sys, "executable", which("false"))
    with pytest.raises(DatasetError, match="the process that does it ended with status 1"):
        apart(Preparer(tokenizer, tmp_path), write(tmp_path / "text.txt", "word1 " * 100), tmp_path / "apart")


ASKER = """
import signal, sys
from pathlib import Path
from saetui.activations import prepare_tokens
from transformers import AutoTokenizer

def tell(now):
    if now.stage == "tokenising":
        print("tokenising", flush=True)
        signal.pause()

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
prepare_tokens(sys.argv[2], tokenizer, context_length=8, cache_directory=Path(sys.argv[3]), own_process=True, progress=tell)
"""


def test_it_ends_with_a_process_that_is_killed(prepare: Preparer, tmp_path: Path) -> None:
    prepare.tokenizer.save_pretrained(tmp_path / "tokenizer")
    long = write(tmp_path / "long.txt", "\n".join(LINES * 40_000))
    command = [sys.executable, "-c", ASKER, str(tmp_path / "tokenizer"), str(long), str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        assert asker.stdout.readline() == "tokenising\n"
        (worker,) = workers(psutil.Process(asker.pid))
        # A signal to all of them leaves it to the one that asked.
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE
        asker.kill()
    eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


GROWTH = """
import sys, psutil
from pathlib import Path
from saetui.activations import prepare_tokens
from saetui.bundled import TINY
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(TINY)
before = psutil.Process().memory_info().rss
data = prepare_tokens(sys.argv[1], tokenizer, context_length=64, cache_directory=Path(sys.argv[2]), own_process=True)
print(psutil.Process().memory_info().rss - before)
"""


def test_nothing_of_it_stays_in_the_process_that_asked(tmp_path: Path) -> None:
    """Seen: 2 MB, and 240 where it tokenised itself."""
    words = " ".join(str(number) for number in np.random.default_rng(0).integers(0, 10**6, 200_000))
    command = [sys.executable, "-c", GROWTH, str(write(tmp_path / "text.txt", words)), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8_000_000
