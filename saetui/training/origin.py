"""The origin of a run: what it began with. Each checkpoint has it, and a resume goes on with exactly that or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import transformers

from saetui.activations import LanguageModel, Site, TokenDataset
from saetui.activations.tokens import OtherTokens, find_tokens
from saetui.errors import DatasetError, FormatError, ModelError
from saetui.rundir.layout import RunDirectory
from saetui.spec.settings import Settings

_RETRY = "or retry the job to start again with what is there now."
GOES_ON = "The run goes on with the tokens that it began with, which are kept."


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules by which a run chooses its tokens and takes its steps, beside the spec.

    If you change a rule, change its words here. Runs that began by the old words are then refused, with both words in the message,
    unless the code keeps the old way for them.
    """

    tokens: str = "neither first positions nor special tokens"
    sinks: str = "tokens beyond max_activation_norm times the site's median norm are left out"
    optimizer: str = "eps and clipping in the papers' units, jumprelu's thresholds at their own rate"
    resampling: str = "an input of its own for each dead latent, from many batches"
    threshold: str = "batch_topk's running mean steers nothing but is carried on"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a run began with.

    Attributes:
        spec: sha256 of its spec.json.
        settings: all its numbers, resolved at the start: later defaults do not apply to the run.
        model: the fingerprint of the model up to the last layer that is read.
        transformers: the version that read the model.
        dtype: of the model, with `auto` resolved: it stays the same on every device.
        places: for each site the module within its layer, and whether its input or its output is read.
        tokens: the key of the tokens: text, tokenizer, context length and how contexts are cut.
        special_ids: tokens that are not trained on.
        tokenizer: a digest of the tokenizer.
        rules: all else that decides what is learned.
    """

    spec: str
    settings: Settings
    model: str
    transformers: str
    dtype: str
    places: dict[str, str]
    tokens: str
    special_ids: tuple[int, ...]
    tokenizer: str
    rules: Rules = Rules()


def begin(
    run: RunDirectory, settings: Settings, model: LanguageModel, sites: Iterable[Site], dataset: TokenDataset
) -> Origin:
    """The origin of a run that has not taken a step. Reads all the model's weights up to its last site."""
    sites = list(sites)
    return Origin(
        spec=_digest_of_spec(run),
        settings=settings,
        model=fingerprint_of(model, sites),
        transformers=str(transformers.__version__),
        dtype=str(model.dtype).removeprefix("torch."),
        places={site.name: _place_of(model, site) for site in sites},
        tokens=dataset.key,
        special_ids=dataset.special_ids,
        tokenizer=digest_of_tokenizer(model),
    )


def require_same_rules(origin: Origin, run: RunDirectory) -> None:
    """Require that a run can go on by its own rules and its own spec, before anything is loaded for it.

    Raises:
        FormatError: the rules or the spec have changed.
    """
    then, now = (msgspec.structs.asdict(rules) for rules in (origin.rules, Rules()))
    changed = [f"{name} ({then[name]!r} then, {now[name]!r} now)" for name in now if then[name] != now[name]]
    if changed:
        raise FormatError(
            f"The run in {run.path.absolute()} began under other rules than this version of saetui has: {', '.join(changed)}.",
            f"Resume it with the saetui that began it, {_RETRY}",
        )
    if origin.spec != _digest_of_spec(run):
        raise FormatError(
            f"{run.spec.absolute()} is not the spec that the run began with.", f"Put that one back, {_RETRY}"
        )


def require_same_model(origin: Origin, model: LanguageModel, sites: Iterable[Site]) -> None:
    """Require that the model and the tensors at its sites are those that the run began with. Reads all weights.

    Raises:
        ModelError: they are not.
    """
    sites = list(sites)
    version = str(transformers.__version__)
    if fingerprint_of(model, sites) != origin.model:
        message = f"The model in {model.directory} is not the one that the run began with."
        if version != origin.transformers:
            message = (
                f"{message[:-1]}, or transformers {version} reads it otherwise than {origin.transformers}, "
                "with which the run began."
            )
        raise ModelError(message, f"Put that one back, {_RETRY}")
    for site in sites:
        then, now = origin.places.get(site.name), _place_of(model, site)
        if then != now:
            raise ModelError(
                f"{site.name} of {model.reference} was the {then} when the run began, and is the {now} now.",
                f"Resume it with the saetui and the transformers ({origin.transformers}) that began it, {_RETRY}",
            )


def kept_tokens(origin: Origin, model: LanguageModel, source: str, cache: Path, error: DatasetError) -> TokenDataset:
    """The tokens that a run began with, where its text no longer gives them.

    `error`: the reason why the text does not give them.

    Raises:
        DatasetError: the text has changed, and the tokens are not in the cache.
        ModelError: the tokenizer has changed.
        HomeError: the cache directory cannot be written to.
    """
    if origin.special_ids != tuple(model.special_ids):
        raise ModelError(
            f"The tokenizer in {model.directory} has other special tokens than when the run began.",
            f"Put that one back, {_RETRY}",
        )
    found = find_tokens(origin.tokens, origin.special_ids, cache)
    if found is not None:
        return found
    if not isinstance(error, OtherTokens):
        raise error
    kind = ModelError if _other_tokenizer(origin, model) else DatasetError
    raise kind(
        f"{what_changed(origin, model, source, error)} The tokens that it began with are no longer kept.",
        f"Put that one back, {_RETRY}",
    )


def what_changed(origin: Origin, model: LanguageModel, source: str, error: DatasetError) -> str:
    """Why a text does not give the tokens that a run began with, in a sentence."""
    if not isinstance(error, OtherTokens):
        return error.message
    if _other_tokenizer(origin, model):
        return f"The tokenizer in {model.directory} is not the one that the run began with."
    return f"The text of {source} is not the one that the run began with."


def _other_tokenizer(origin: Origin, model: LanguageModel) -> bool:
    return digest_of_tokenizer(model) != origin.tokenizer


def fingerprint_of(model: LanguageModel, sites: Iterable[Site]) -> str:
    """The fingerprint of the model up to the last of some sites."""
    return model.fingerprint(max(site.layer for site in sites))


def digest_of_tokenizer(model: LanguageModel) -> str:
    """A digest by which tokenizers are told apart."""
    facts = (model.tokenizer.backend_tokenizer.to_str(), sorted(model.tokenizer.all_special_ids))
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _place_of(model: LanguageModel, site: Site) -> str:
    """As `input of mlp`. Only the name within the layer: the names before it depend on how much of the model is loaded."""
    location = model.locate(site)
    inner = location.module_name.partition(f"{model.layers_name}.{site.layer}")[2].removeprefix(".")
    return f"{location.side} of {inner or 'the layer'}"


def _digest_of_spec(run: RunDirectory) -> str:
    return hashlib.sha256(run.spec.read_bytes()).hexdigest()
