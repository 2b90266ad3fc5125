"""What a training leaves on the disk: checkpoints, of which some stay, and the result of each site."""

from __future__ import annotations

import time

import msgspec

from saetui.activations.vocabulary import prepends_bos
from saetui.formats.directories import sweep_new
from saetui.rundir.checkpoints import delete_checkpoint, delete_unless_read, list_checkpoints
from saetui.rundir.retention import Retention, spec_rules, superfluous
from saetui.sae import ExportMetadata, export_result
from saetui.spec.settings import Settings
from saetui.training.checkpoint import Environment, LoopState, Means, environment_now, load_loop_state, save_checkpoint
from saetui.training.control import Requests
from saetui.training.setup import Prepared
from saetui.training.site import SiteTrainer

RETRY_SECONDS = 2.0
"""The least time between two attempts to save on a disk that refused."""
RETRY_FACTOR = 10.0
"""After a failed attempt the next one waits so many times as long as that one took: the training comes first."""


class Saver:
    """Saves the checkpoints of one training, at most one for a step.

    Attributes:
        trouble: why the last attempt failed; None when it succeeded.
    """

    def __init__(self, prepared: Prepared, requests: Requests, answered: int) -> None:
        """`answered`: how many requests for a checkpoint earlier processes of the job have answered."""
        self._prepared = prepared
        self._requests = requests
        self._recorder = prepared.recorder
        self._directory = prepared.run.checkpoints
        self._environment = environment_now(prepared.model.device)
        self._answered = answered
        self._saved: int | None = prepared.step or None
        self._owed = False
        self._not_before = 0.0
        self.trouble: OSError | None = None

    def resume(self) -> LoopState | None:
        """The loop's state in the checkpoint that the run resumes from. Removes newer checkpoints, which are all damaged:

        they would pass for the newest when the rules of retention choose.
        """
        step = self._prepared.step
        for path in sorted(self._directory.glob("step_*")):
            name = path.name.removeprefix("step_")
            if name.isdigit() and (damaged := int(name)) > step:
                delete_checkpoint(path)
                message = f"The checkpoint of step {damaged} was damaged, and is removed"
                self._recorder.event("warning", message, step=step, data={"checkpoint": damaged})
        for info in list_checkpoints(self._directory):
            if info.step == step:
                state = load_loop_state(info.path)
                self._compare(state.environment)
                return state
        return None

    @property
    def due(self) -> bool:
        """Whether a checkpoint was requested, or an attempt failed, and it may be tried now."""
        # A control file that had to be written anew counts from 0 again.
        self._answered = min(self._answered, self._requests.control.checkpoints)
        return (
            self._owed or self._requests.control.checkpoints > self._answered
        ) and time.monotonic() >= self._not_before

    def save(self, step: int, stream: dict[str, int], held_out: Means | None, loop: LoopState) -> bool:
        """Save the checkpoint of a step, unless it is there; whether it is there now.

        A disk that refuses is no error here: `due` says when to try again.

        Args:
            step: finished steps; nothing is saved before the first.
            stream: the stream's position after them.
            held_out: the means of an evaluation of this step, where there was one.

        Raises:
            TrainingError: a weight or a moment is not finite.
        """
        if step == 0:
            return False
        requests = self._requests.control.checkpoints
        if self._saved == step:
            if requests > self._answered:
                self._report(f"The checkpoint of step {step} is there already", step, requests)
            return True
        began = time.monotonic()
        try:
            # A checkpoint promises that the metrics up to its step are there.
            self._recorder.sync()
            states = {site: trainer.state() for site, trainer in self._prepared.trainers.items()}
            loop = msgspec.structs.replace(loop, environment=self._environment)
            save_checkpoint(self._directory, step, self._prepared.origin, states, stream, held_out, loop)
            self._saved = step
            self._report(f"Saved the checkpoint of step {step}", step, requests)
            self._delete_superfluous()
        except OSError as error:
            self.trouble = error
            self._owed = self._saved != step
            took = time.monotonic() - began
            self._not_before = time.monotonic() + max(RETRY_SECONDS, RETRY_FACTOR * took)
            self._recorder.refused(error, step)
            return not self._owed
        self.trouble = None
        self._owed = False
        self._recorder.recovered(step)
        return True

    def _report(self, message: str, step: int, requests: int) -> None:
        self._answered = max(self._answered, requests)
        self._recorder.event("checkpoint", message, step=step, data={"step": step, "requests": requests})

    def _delete_superfluous(self) -> None:
        """Delete the checkpoints that no rule keeps. One that somebody reads stays until the next time."""
        rules = self._requests.control.retention or rules_of(self._prepared.settings)
        for info in superfluous(list_checkpoints(self._directory), rules):
            delete_unless_read(info.path)

    def _compare(self, then: Environment | None) -> None:
        """Warn where the rest of the run cannot be bit for bit what it would have been."""
        now = self._environment
        if then is None or then == now:
            return
        changes = [
            f"{name} {before} → {after}"
            for name in ("torch", "threads", "device", "transformers")
            if (before := getattr(then, name)) != (after := getattr(now, name))
        ]
        self._recorder.event(
            "warning",
            f"Resumed in another environment ({', '.join(changes)}): sums round differently from here on",
            step=self._prepared.step,
            data={"changes": changes},
        )


def rules_of(settings: Settings) -> Retention:
    """The rules of retention in a run's settings."""
    return spec_rules({"hyperparameters": msgspec.structs.asdict(settings)})


def export_results(prepared: Prepared, step: int, *, completed: bool) -> None:
    """Write `sae/<site>/` for every site, as it stands after `step`.

    SAELens loads the directory where it has the architecture; else it is in saetui's own format.

    Raises:
        OSError: a directory cannot be written.
    """
    prepared.run.sae.mkdir(mode=0o700, exist_ok=True)
    sweep_new(prepared.run.sae)
    for name, trainer in prepared.trainers.items():
        directory = prepared.run.result(name)
        metadata = _metadata(prepared, trainer, step, completed)
        # Where a layer multiplies a module's output by a factor, a result reads and gives the output before the factor.
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
