"""The result of a training: each site's SAE as a directory that SAELens loads."""

from __future__ import annotations

from saetui.activations.vocabulary import prepends_bos
from saetui.formats.directories import sweep_new
from saetui.sae import ExportMetadata, export_result
from saetui.training.setup import Prepared
from saetui.training.site import SiteTrainer


def export_results(prepared: Prepared, step: int, *, completed: bool) -> None:
    """Write `sae/<site>/` for every site, as it stands after `step`; in saetui's own format where SAELens has none."""
    prepared.run.sae.mkdir(mode=0o700, exist_ok=True)
    sweep_new(prepared.run.sae)
    for name, trainer in prepared.trainers.items():
        directory = prepared.run.result(name)
        metadata = _metadata(prepared, trainer, step, completed)
        # What a layer multiplies by a factor before it adds it, a result reads and gives before the factor.
        source = trainer.units.source.before(prepared.model.locate(trainer.pair.source).factor)
        target = trainer.units.target.before(prepared.model.locate(trainer.pair.target).factor)
        refusal = export_result(directory, trainer.sae, source, metadata, target=target)
        message = f"The SAE of {name} is in {directory.absolute()}"
        if refusal is not None:
            message += f", in saetui's own format. {refusal}"
        data = {"site": name, "format": "saelens" if refusal is None else "saetui"}
        prepared.recorder.event("exported", message, step=step, data=data)


def _metadata(prepared: Prepared, trainer: SiteTrainer, step: int, completed: bool) -> ExportMetadata:
    spec, model, pair = prepared.spec, prepared.model, trainer.pair
    return ExportMetadata(
        model_name=spec.model,
        hook_name=pair.source.transformer_lens_name,
        hf_hook_name=model.locate(pair.source).tensor_name,
        hook_layer=pair.source.layer,
        context_size=spec.dataset.context_length,
        dataset_path=spec.dataset.source,
        prepend_bos=prepends_bos(model.tokenizer),
        hook_name_out=pair.target.transformer_lens_name if pair.is_transcoder else None,
        hf_hook_name_out=model.locate(pair.target).tensor_name if pair.is_transcoder else None,
        revision=spec.revision,
        extra={
            "job": prepared.run.id,
            "name": spec.name,
            "step": step,
            "completed": completed,
            "tokens": step * prepared.settings.batch_size,
            "seed": spec.seed,
            "dataset_split": spec.dataset.split,
            "dataset_text_field": spec.dataset.text_field,
            "hyperparameters": dict(spec.hyperparameters),
            "sink_fraction": trainer.sink_fraction,
            "held_out": dict(prepared.held_out.latest.get(pair.name, {})),
        },
    )
