"""Everything that must be there before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from saetui.activations import BatchStream, ContextOrder, LanguageModel, Site, TokenDataset, open_model, prepare_tokens
from saetui.activations.rows import RowReader
from saetui.errors import DatasetError, InvalidInput
from saetui.home import find_home
from saetui.rundir.checkpoints import newest_sound, sweep
from saetui.rundir.layout import RunDirectory
from saetui.spec.settings import Settings, contexts_per_pass, resolve
from saetui.spec.training_spec import TrainingSpec
from saetui.training.allocator import keep_freed_memory
from saetui.training.checkpoint import SavedState, load_checkpoint, load_origin
from saetui.training.control import Requests
from saetui.training.evaluation import Calibration, HeldOut
from saetui.training.notifier import Notifier
from saetui.training.options import product_dtype
from saetui.training.origin import (
    GOES_ON,
    Origin,
    begin,
    kept_tokens,
    require_same_model,
    require_same_rules,
    what_changed,
)
from saetui.training.out_of_memory import AdaptiveExtractor
from saetui.training.pairs import Pair, pairs_of, sites_read
from saetui.training.progress import Progress, tokenising
from saetui.training.recorder import BufferedEvents, Recorder
from saetui.training.site import SiteTrainer
from saetui.training.stream import kind_of, open_stream


@dataclass(frozen=True)
class Prepared:
    """The parts of a training, ready for the loop.

    Attributes:
        origin: what the run began with, in this process or an earlier one.
        trainers: one for each site, by the site's name, in the order of the spec.
        step: finished steps; above 0 when a checkpoint was resumed.
    """

    run: RunDirectory
    spec: TrainingSpec
    origin: Origin
    settings: Settings
    model: LanguageModel
    dataset: TokenDataset
    extractor: AdaptiveExtractor
    stream: BatchStream
    trainers: dict[str, SiteTrainer]
    held_out: HeldOut
    calibration: Calibration
    recorder: Recorder
    step: int


def set_up(
    spec: TrainingSpec, run: RunDirectory, events: BufferedEvents, notifier: Notifier, requests: Requests
) -> Prepared | None:
    """Load the model and the text; measure the scales and build the SAEs, or take both from the newest sound checkpoint.

    Returns:
        None when a stop was requested before everything was there.

    Raises:
        SaetuiError: the model, the text or the checkpoint cannot be used.
    """

    def phase(name: str, message: str) -> None:
        events.append("phase", message, data={"name": name})
        notifier.notify()

    torch.manual_seed(spec.seed)
    sweep(run.checkpoints)
    saved = newest_sound(run.checkpoints)
    origin = load_origin(saved.path) if saved is not None else None
    if origin is not None:
        require_same_rules(origin, run)
    phase("model", f"Loading {spec.model}")
    pairs = pairs_of(spec)
    sites = sites_read(pairs)
    # No layer behind the last site is loaded, nor the head: evaluations borrow them (activations/whole_model.py).
    dtype = spec.dtype if origin is None else origin.dtype
    model = open_model(spec.model, spec.revision, spec.device, dtype, last_layer=max(site.layer for site in sites))
    if origin is not None:
        require_same_model(origin, model, sites)
    if spec.start_from is not None:
        refuse_factors(model, sites)
    model.require_reads(spec.dataset.context_length)
    if model.device.type != "cpu":
        # TF32 for products that stay in float32: its ten bits are enough where the operands are noisy.
        torch.set_float32_matmul_precision("high")
    extractor = AdaptiveExtractor(model, sites)
    if requests.stop:
        return None

    phase("text", f"Reading {spec.dataset.source}")
    dataset = _tokens(spec, model, origin, events, report=lambda sentence: phase("tokens", sentence))
    if model.device.type == "cpu":
        # Not before: memory that loading and tokenising needed for a while goes back to the system.
        keep_freed_memory()
    if origin is None:
        settings = resolve(spec, model.d_model, dataset.train_tokens)
        assert settings is not None, "the tokens are known now"
        origin = begin(run, settings, model, sites, dataset)
    settings = origin.settings
    if requests.stop:
        return None

    state = load_checkpoint(saved.path, model.device) if saved is not None else None
    stream = open_stream(extractor, dataset, settings, spec, report=lambda sentence: phase("cache", sentence))
    if state is None:
        phase("scale", "Measuring the scale of the activations")
    measuring = Progress("Measuring the scale of the activations", lambda sentence: phase("scale", sentence))
    trainers = _trainers(pairs, model, stream.source, dataset, settings, spec, state, measuring)
    if state is not None:
        phase("resume", f"Resuming from the checkpoint of step {state.step}")
        stream.restore(state.stream)
    step = state.step if state is not None else 0
    recorder = Recorder(run, list(trainers), notifier, events, keep_through=step)
    if recorder.damaged:
        recorder.event("warning", f"{recorder.damaged} rows of the metrics are damaged and left out", step=step)
    held_out = HeldOut(model, extractor, dataset, report=lambda sentence: recorder.event("warning", sentence))
    calibration = Calibration(extractor, dataset, held_out.contexts)
    prepared = Prepared(
        run, spec, origin, settings, model, dataset, extractor, stream, trainers, held_out, calibration, recorder, step
    )
    _report_start(prepared)
    return prepared


def refuse_factors(model: LanguageModel, sites: Sequence[Site]) -> None:
    """Refuse start_from where a layer multiplies a module's output: exported SAEs read the output, the training the product.

    Raises:
        InvalidInput: one of the sites is such a place.
    """
    for site in sites:
        if (factor := model.locate(site).factor) != 1.0:
            raise InvalidInput(
                f"start_from: {model.reference} multiplies {site.name} by {factor:g} before it adds it to the stream, and SAEs "
                "that were exported read it before.",
                "Leave start_from out, or choose another hook point.",
            )


def _tokens(
    spec: TrainingSpec,
    model: LanguageModel,
    origin: Origin | None,
    events: BufferedEvents,
    report: Callable[[str], None],
) -> TokenDataset:
    """The tokens of the spec's text; for a run that is resumed those that it began with, as `kept_tokens` finds them."""
    source, cache = spec.dataset.source, find_home().cache
    try:
        dataset = prepare_tokens(
            source,
            model.tokenizer,
            context_length=spec.dataset.context_length,
            cache_directory=cache,
            text_field=spec.dataset.text_field,
            split=spec.dataset.split,
            own_process=True,
            key=None if origin is None else origin.tokens,
            progress=tokenising(source, report),
        )
    except DatasetError as error:
        if origin is None:
            raise
        dataset = kept_tokens(origin, model, source, cache, error)
        events.append("warning", f"{what_changed(origin, model, source, error)} {GOES_ON}")
    for note in dataset.notes:
        events.append("warning", note)
    return dataset


def _trainers(
    pairs: Sequence[Pair],
    model: LanguageModel,
    rows: RowReader,
    dataset: TokenDataset,
    settings: Settings,
    spec: TrainingSpec,
    state: SavedState | None,
    measuring: Callable[[float], None],
) -> dict[str, SiteTrainer]:
    device, products = model.device, product_dtype(model.dtype)
    if state is not None:
        return {
            pair.name: SiteTrainer.restored(pair.source, spec, settings, state.sites[pair.name], device, products)
            for pair in pairs
        }
    order = ContextOrder(dataset.train, spec.seed)
    at_a_time = contexts_per_pass(kind_of(device), dataset.context_length)

    def sample() -> Iterator[dict[str, Tensor]]:
        """Raw activations of the contexts that the training begins with, from the cache where they are in it; without end."""
        position = 0
        while True:
            block: dict[str, Tensor] = {}
            rows.read(order.at(range(position, position + at_a_time)), block.__setitem__)
            yield block
            position += at_a_time

    return SiteTrainer.fresh(pairs, spec, settings, sample(), device, products, measuring)


def _report_start(prepared: Prepared) -> None:
    settings, dataset, trainers = prepared.settings, prepared.dataset, prepared.trainers
    many = "s" if len(trainers) > 1 else ""
    prepared.recorder.event(
        "started",
        f"Training {len(trainers)} SAE{many} of {settings.latents} latents at {', '.join(trainers)}",
        step=prepared.step,
        data={
            "num_steps": settings.num_steps,
            "tokens": settings.num_steps * settings.batch_size,
            "dataset_tokens": dataset.train_tokens,
            "held_out_tokens": dataset.held_out_tokens,
            "device": str(prepared.model.device),
            "latents": settings.latents,
            "settings": msgspec.to_builtins(settings),
            "scales": {site: trainer.units.source.scale for site, trainer in trainers.items()},
        },
    )
