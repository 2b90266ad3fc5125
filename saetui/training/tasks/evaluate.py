"""`python -m saetui.training.tasks.evaluate`: judges finished SAEs on held-out text, for `saetui eval`.

The request: `{"directories": {NAME: DIRECTORY}, "tokens", "device"}`, and optionally `model`, `revision`, `dataset`,
`text_field`, `context_length`, `layer`, `hook_point`; missing ones are taken from the SAEs' metadata.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saetui.activations import ActivationExtractor, TokenDataset, open_model, prepare_tokens
from saetui.activations.fields import DEFAULT
from saetui.activations.models import LanguageModel
from saetui.errors import DatasetError, InvalidInput, ModelError, SaetuiError
from saetui.home import find_home
from saetui.sae import LoadedSAE
from saetui.sae.formats.layouts import load_sae
from saetui.sae.formats.loading import as_trained
from saetui.sae.formats.models import changes_to_model, hub_ids
from saetui.sources.dataset_files import EVERYTHING
from saetui.sources.model_files import find_model_files
from saetui.training.evaluation import HeldOut
from saetui.training.finished import FinishedSAE, open_finished
from saetui.training.pairs import sites_read
from saetui.training.progress import tokenising
from saetui.training.tasks.task import report, serve_task

_CONTEXT_LENGTH = 128


def judge(request: dict[str, Any]) -> dict[str, object]:
    """Evaluate SAEs on the same held-out tokens.

    Returns:
        `{"model", "dataset", "split", "text_field", "context_length", "tokens", "sites": {NAME: {"directory", "site",
        "layout", "architecture", "trained_as", "latents", "notes", figures}}}`;
        the figures are those of a training's held-out evaluation.

    Raises:
        SaetuiError: an SAE, the model or the text cannot be used.
    """
    directories = {name: Path(path) for name, path in request["directories"].items()}
    loaded = {name: load_sae(path) for name, path in directories.items()}
    asked = {name: value for name, value in request.items() if value is not None}
    usual = {"split": EVERYTHING, "text_field": DEFAULT, "context_length": _CONTEXT_LENGTH}
    facts = {**usual, **_facts(loaded, with_text="dataset" not in asked), **asked}
    named_by_sae = request.get("model") is None
    if not named_by_sae:
        # The revision in the metadata is one of the SAE's own model.
        facts["revision"] = request.get("revision")
    model = _model(facts, named_by_sae=named_by_sae)
    layer, hook_point = request.get("layer"), request.get("hook_point")
    finished = {
        name: open_finished(path, model.device, model.d_model, layer, hook_point, model, loaded[name])
        for name, path in directories.items()
    }
    context_length = facts["context_length"]
    model.require_reads(context_length)
    dataset = _text(facts, model, context_length)
    report(f"Evaluating on {min(request['tokens'], dataset.held_out_tokens)} held-out tokens")
    extractor = ActivationExtractor(model, sites_read([sae.pair for sae in finished.values()]))
    measured = HeldOut(model, extractor, dataset, tokens=request["tokens"]).evaluate(finished)
    return {
        **{name: facts[name] for name in ("model", "dataset", "split", "text_field", "context_length")},
        "tokens": int(next(iter(measured.values()))["tokens"]),
        "sites": {name: _described(sae, directories[name]) | measured[name] for name, sae in finished.items()},
    }


def _described(sae: FinishedSAE, directory: Path) -> dict[str, object]:
    return {
        "directory": str(directory),
        "site": sae.pair.name,
        "layout": sae.loaded.layout,
        "architecture": sae.sae.architecture,
        "trained_as": as_trained(sae.loaded).architecture,
        "latents": sae.sae.latents,
        "notes": list(sae.placed.notes),
    }


def _facts(loaded: Mapping[str, LoadedSAE], *, with_text: bool) -> dict[str, Any]:
    """What the first SAE's metadata say about its model and, if asked for, about its text."""
    found = next(iter(loaded.values())).metadata
    named = {"model": found.get("model_name")}
    if with_text:
        own = found.get("saetui")
        own = own if isinstance(own, dict) else {}
        named |= {
            "dataset": found.get("dataset_path"),
            "split": own.get("dataset_split"),
            "text_field": own.get("dataset_text_field"),
        }
    facts: dict[str, Any] = {name: value for name, value in named.items() if isinstance(value, str) and value}
    length = found.get("context_size")
    if isinstance(length, int) and not isinstance(length, bool) and length >= 2:
        facts["context_length"] = length
    revision = changes_to_model(found).revision
    if revision is not None:
        facts["revision"] = revision
    # In saetui's own, prepend_bos is about a BOS token alone; their contexts began as those of every training of saetui.
    facts["begin_contexts"] = "saetui" in found or found.get("prepend_bos") is not False
    return facts


def _model(facts: Mapping[str, Any], *, named_by_sae: bool) -> LanguageModel:
    reference = facts.get("model")
    if reference is None:
        raise InvalidInput("The SAE does not say which model it belongs to.", "Name one with --model.")
    if named_by_sae:
        reference = _found_here(reference, facts.get("revision"))
    report(f"Loading {reference}")
    try:
        return open_model(reference, facts.get("revision"), facts["device"])
    except ModelError as error:
        raise ModelError(error.message, _or_name(error, "--model")) from error


def _found_here(name: str, revision: str | None) -> str:
    """The reference for a model's name in an SAE's metadata; TransformerLens's short names stand for Hub ids."""
    ids = hub_ids(name)
    for reference in (name, *ids):
        try:
            find_model_files(reference, revision)
        except ModelError:
            continue
        return reference
    if ids:
        return ids[0]
    if "/" not in name and not name.startswith("bundled:"):
        raise ModelError(
            f"The SAE names its model {name!r}, which is neither a model on this machine nor a name of TransformerLens's that saetui knows.",
            "Name the model with --model: a directory, or a Hub id in the local cache.",
        )
    return name


def _text(facts: Mapping[str, Any], model: LanguageModel, context_length: int) -> TokenDataset:
    source = facts.get("dataset")
    if source is None:
        raise InvalidInput("The SAE does not say which text it was trained on.", "Name one with --dataset.")
    report(f"Reading {source}")
    try:
        dataset = prepare_tokens(
            source,
            model.tokenizer,
            context_length=context_length,
            cache_directory=find_home().make().cache,
            text_field=facts["text_field"],
            split=facts["split"],
            begin_contexts=facts["begin_contexts"],
            progress=tokenising(source, report),
        )
    except DatasetError as error:
        raise DatasetError(error.message, _or_name(error, "--dataset, --split or --text-field")) from error
    for note in dataset.notes:
        report(note)
    return dataset


def _or_name(error: SaetuiError, option: str) -> str:
    return f"{error.suggestion or ''} Or name another with {option}.".strip()


if __name__ == "__main__":
    sys.exit(serve_task(judge))
