"""Everything that needs torch and is kept on disk apart from checkpoints, written by processes that can be killed.

`python -m tests.reliability.writers` loads torch once; for each line `WRITER DIRECTORY FAILPOINTS` on standard input it
forks a process that writes, and answers with the exit code (negative for a signal).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from saetui import failpoints

TEXT = "text.txt"
RESULT = "result"
SOURCE = "source"


def write_tokens(root: Path) -> None:
    """A text's entry in the cache of tokens."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from saetui.activations import prepare_tokens
    from saetui.bundled import TINY

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    prepare_tokens(str(root / TEXT), tokenizer, context_length=16, cache_directory=root / "cache")


def write_activations(root: Path) -> None:
    """The rows of one site in the cache of activations, in several shards."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from saetui.activations import ActivationExtractor, HookPoint, Site, open_model, prepare_tokens
    from saetui.activations import cache_layout as layout
    from saetui.activations.cache_recording import fill_entries
    from saetui.activations.cache_writing import EntryWriter
    from saetui.activations.rows import ModelRows
    from saetui.bundled import TINY
    from saetui.formats.caches import ACTIVATIONS

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    dataset = prepare_tokens(str(root / TEXT), tokenizer, context_length=16, cache_directory=root / "cache")
    site = Site(0, HookPoint.RESID_POST)
    extractor = ActivationExtractor(open_model(str(TINY), last_layer=0), [site])
    entries = root / "cache" / ACTIVATIONS
    entries.mkdir(mode=0o700, exist_ok=True)
    # So that the text makes three shards and not a part of one.
    layout.SHARD_BYTES = 16 * 16 * 128 * 4
    entry = layout.find_entry(entries, extractor, site, dataset)
    writer = EntryWriter.open(entry, layout.empty_manifest(extractor, site, dataset, TEXT, 0), dataset)
    if writer is not None:
        fill_entries(ModelRows(extractor, dataset), [writer])


def write_export(root: Path) -> None:
    """An SAE in SAELens's layout; each call another one under the same name."""
    import torch

    from saetui.formats.directories import sweep_new
    from saetui.sae import ExportMetadata, Normalization, build, export_saelens

    there = root / RESULT / "cfg.json"
    seed = 0 if not there.exists() else json.loads(there.read_text())["metadata"]["saetui"]["seed"] + 1
    sweep_new(root)
    sae = build("topk", 8, 8, 16, torch.Generator().manual_seed(seed), k=4)
    metadata = ExportMetadata(
        model_name="bundled:tiny", hook_name="blocks.1.hook_resid_post", hf_hook_name="transformer.h.1", hook_layer=1,
        context_size=16, dataset_path=TEXT, prepend_bos=True, extra={"seed": seed},
    )  # fmt: skip
    export_saelens(root / RESULT, sae, Normalization(), metadata)


def write_copy(root: Path) -> None:
    """A finished SAE copied out."""
    from saetui.client.exporting import copy_out

    copy_out({"": root / SOURCE}, root / RESULT)


def write_import(root: Path) -> None:
    """A finished SAE brought in."""
    from saetui.training.tasks.convert import import_sae

    (root / "imported").mkdir(exist_ok=True)
    import_sae(root / SOURCE, root / "imported", RESULT)


WRITERS: dict[str, Callable[[Path], None]] = {
    "tokens": write_tokens,
    "activations": write_activations,
    "export": write_export,
    "copy": write_copy,
    "import": write_import,
}


class Writers:
    """The process that writers are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.writers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )

    def run(self, writer: str, root: Path, points: str = "") -> int:
        """Write; the exit code."""
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None and answered is not None
        asked.write(json.dumps([writer, str(root), points]) + "\n")
        asked.flush()
        answer: int = json.loads(answered.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def _serve() -> None:
    import transformers.models.gpt2.modeling_gpt2

    import saetui.training.tasks.convert

    assert saetui.training.tasks.convert and transformers.models.gpt2.modeling_gpt2
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        writer, root, points = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _write(writer, Path(root), points)
        _, status = os.waitpid(pid, 0)
        answers.write(json.dumps(os.waitstatus_to_exitcode(status)) + "\n")
        answers.flush()


def _write(writer: str, root: Path, points: str) -> None:
    code = 1
    # As hostile as a user's own may be: what is private must not depend on it.
    os.umask(0)
    try:
        os.environ[failpoints.VARIABLE] = points
        active = failpoints.parse(points) if points else None
        vars(failpoints)["_active"] = active
        WRITERS[writer](root)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
