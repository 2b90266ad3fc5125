"""The result of a training: each site's SAE as a directory that SAELens loads."""

from __future__ import annotations

from saetui.sae import ExportMetadata, export_saelens
from saetui.training.setup import Prepared
from saetui.training.site import SiteTrainer


def export_results(prepared: Prepared, step: int, *, completed: bool) -> None:
    """Write `sae/<site>/` for every site, as it stands after `step`."""
    prepared.run.sae.mkdir(mode=0o700, exist_ok=True)
    for name, trainer in prepared.trainers.items():
        directory = prepared.run.result(name)
        export_saelens(directory, trainer.sae, trainer.normalization, _metadata(prepared, trainer, step, completed))
        prepared.recorder.event("exported", f"The SAE of {name} is in {directory}", step=step, data={"site": name})


def _metadata(prepared: Prepared, trainer: SiteTrainer, step: int, completed: bool) -> ExportMetadata:
    spec, model, site = prepared.spec, prepared.model, trainer.site
    return ExportMetadata(
        model_name=spec.model,
        hook_name=site.transformer_lens_name,
        hf_hook_name=model.locate(site).module_name,
        hook_layer=site.layer,
        context_size=spec.dataset.context_length,
        dataset_path=spec.dataset.source,
        prepend_bos=model.tokenizer.bos_token_id is not None,
        extra={
            "job": prepared.run.path.name,
            "name": spec.name,
            "step": step,
            "completed": completed,
            "tokens": step * prepared.settings.batch_size,
            "seed": spec.seed,
            "hyperparameters": dict(spec.hyperparameters),
        },
    )
