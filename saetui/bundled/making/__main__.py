"""Makes the bundled language model, and measures it.

    python -m saetui.bundled.making --out DIR        trains one into DIR (a quarter of an hour on two cores)
    python -m saetui.bundled.making --evaluate       measures the one in this package

A small GPT-2 is trained from nothing on the source of the running Python's standard library. Everything is seeded:
on the same machine, with the same Python, torch and number of threads, a second run gives the same model.
Another Python has another standard library, and so gives another model. One file in sixteen, chosen by its name, is
never trained on; on those the model is judged, in bits a byte, beside a unigram and a trigram model of the same tokens.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from saetui.bundled import TINY
from saetui.bundled.making.evaluation import Figures, evaluate_model, figures_table, model_card
from saetui.bundled.making.model import Recipe, save_model, train_model
from saetui.bundled.making.text import encode_documents, read_stdlib, train_tokenizer
from saetui.errors import ModelError, SaetuiError
from saetui.training.allocator import keep_freed_memory


def make_model(directory: Path, recipe: Recipe, files: int | None = None) -> Figures:
    """Train tokenizer and model, save both with a model card, and measure them.

    Args:
        directory: of the result; made if missing, its files of the same names replaced.
        files: read at most so many files of each part, for a quick test.

    Raises:
        DatasetError: this Python has no source of its standard library, or `files` is too small.
        ModelError: the directory cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"The directory {directory} cannot be made: {error.strerror}.", "Choose another one with --out."
        ) from error
    text = read_stdlib(files)
    tokenizer = train_tokenizer(text.training, recipe.vocabulary, recipe.context)
    tokens = torch.cat(encode_documents(text.training, tokenizer))
    started = time.monotonic()
    model = train_model(recipe, tokens, tokenizer, _report)
    seconds = time.monotonic() - started
    save_model(model, tokenizer, directory)
    figures = measure_model(directory, files)
    (directory / "MODEL_CARD.md").write_text(model_card(recipe, figures, seconds), "utf-8")
    return figures


def measure_model(directory: Path, files: int | None = None) -> Figures:
    """Measure a saved model on the running Python's standard library.

    Raises:
        DatasetError: this Python has no source of its standard library.
        ModelError: there is no such model in the directory.
    """
    if not (directory / "config.json").is_file():
        raise ModelError(
            f"{directory} holds no language model: config.json is missing.",
            "Make one with `python -m saetui.bundled.making --out DIR`.",
        )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
    model.train(False)
    return evaluate_model(model, tokenizer, read_stdlib(files))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    changed = {name: getattr(options, name) for name in ("steps", "batch", "width", "seed")}
    recipe = dataclasses.replace(Recipe(), **{name: value for name, value in changed.items() if value is not None})
    try:
        if options.evaluate is not None:
            figures = measure_model(options.evaluate, options.files)
        else:
            figures = make_model(options.out, recipe, options.files)
    except SaetuiError as error:
        print(error, file=sys.stderr)
        return 1
    print(figures_table(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m saetui.bundled.making", description="Make the bundled language model, or measure it."
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--out", type=Path, metavar="DIR", help="train a model into this directory")
    task.add_argument(
        "--evaluate",
        type=Path,
        metavar="DIR",
        nargs="?",
        const=TINY,
        help="measure the model in this directory (without one: the bundled model)",
    )
    parser.add_argument("--files", type=_positive, help="read at most so many files, for a quick test")
    parser.add_argument("--threads", type=_positive, default=2, help="of torch (2; another number rounds otherwise)")
    parser.add_argument("--steps", type=_positive, help=f"of training ({Recipe.steps})")
    parser.add_argument("--batch", type=_positive, help=f"sequences in a step ({Recipe.batch})")
    parser.add_argument("--width", type=_positive, help=f"of the residual stream ({Recipe.width})")
    parser.add_argument("--seed", type=int, help=f"of weights and order ({Recipe.seed})")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
