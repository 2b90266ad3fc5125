"""The training loop: steps, each of which feeds one model pass to every site; logs, evaluations, saves and pauses between them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from statistics import fmean

from saetui.failpoints import hit
from saetui.jobs.job import DesiredState
from saetui.rundir.metrics import MetricReader
from saetui.training.checkpoint import LoopState, Means
from saetui.training.control import Requests, StopRequested
from saetui.training.out_of_memory import OutOfMemory, is_out_of_memory
from saetui.training.progress import Progress
from saetui.training.saving import Saver, export_results
from saetui.training.setup import Prepared
from saetui.training.speed import Speed
from saetui.training.steps import Steps
from saetui.training.warnings import Advice, Watch

PHASE_SECONDS = 5.0
"""Between two sentences of how far an evaluation is: a short one says only that it began."""


class Ending(str, Enum):
    """Why a training ended, other than by a failure. `paused`: saved, and its memory freed."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    PAUSED = "paused"


@dataclass(frozen=True)
class Outcome:
    """How a training ended, other than by a failure, after how many finished steps."""

    ending: Ending
    step: int

    def sentence(self) -> str:
        """The end in words."""
        return {
            Ending.COMPLETED: f"Completed all {self.step} steps",
            Ending.STOPPED: f"Stopped after step {self.step}",
            Ending.PAUSED: f"Paused after step {self.step}; everything is saved and the memory is free",
        }[self.ending]


class Training:
    """Takes steps until the budget is spent or a stop is requested."""

    def __init__(self, prepared: Prepared, requests: Requests, saver: Saver) -> None:
        self._prepared = prepared
        self._settings = prepared.settings
        self._trainers = prepared.trainers
        self._recorder = prepared.recorder
        self._requests = requests
        self._saver = saver
        self._steps = Steps(prepared, requests)
        self._watch = Watch(prepared.spec.architecture, prepared.settings)
        self._speed = Speed(prepared.settings.batch_size)
        # An evaluation that is due and not made yet; sites that an earlier process has evaluated at this step already.
        self._evaluation_owed = False
        self._evaluated: set[str] = set()
        # The means of the last evaluation, by its step.
        self._held_out: dict[int, Means] = {}

    def run(self) -> Outcome:
        """Train to the end, save, and export the result.

        Raises:
            TrainingError: the loss is no longer finite, or memory runs out.
            OSError: the result cannot be written.
        """
        self._resume()
        while (ending := self._between_steps()) is None:
            try:
                self._advance()
            except StopRequested:
                continue  # during a reading or an evaluation: the finished steps stand
            except OutOfMemory as error:
                raise self._steps.too_large(error, saved=self._save()) from error
        if ending is Ending.PAUSED:
            self._export_while_unloaded()
        else:
            self._finish(ending)
        return Outcome(ending, self._step)

    @property
    def _step(self) -> int:
        return self._steps.done

    def _resume(self) -> None:
        state = self._saver.resume()
        if state is not None:
            self._steps.resume(state)
            self._evaluation_owed = state.evaluation_owed
            if self._evaluation_owed:
                self._evaluated = self._evaluated_already()
            self._speed = Speed(self._settings.batch_size, state.seconds)

    def _evaluated_already(self) -> set[str]:
        """Sites whose evaluation of this step an earlier process wrote down before it was killed."""
        log = MetricReader(self._prepared.run.evaluation_metrics)
        log.poll()
        newest = {site: log.latest(site) for site in self._trainers}
        return {site for site, row in newest.items() if row is not None and row[0] == self._step}

    def _advance(self) -> None:
        """One step, and what is due after it."""
        settings = self._settings
        if self._evaluation_owed:
            self._evaluate()
        if self._step == settings.num_steps:
            return
        self._steps.take()
        self._speed.step()
        last = self._step == settings.num_steps
        if self._step % settings.log_interval == 0 or last:
            self._log()
        if self._step % settings.eval_interval == 0 or last:
            self._evaluation_owed = True
            self._evaluate()
        if self._step % settings.checkpoint_interval == 0:
            self._save()

    def _between_steps(self) -> Ending | None:
        """Do what is requested between two steps; why to end, or None to go on."""
        trouble = self._requests.take_trouble()
        if trouble is not None:
            self._recorder.event("warning", trouble, step=self._step)
        if self._saver.due:
            self._save()
        if self._requests.control.desired_state is not DesiredState.RUN and not self._done and self._hold():
            return Ending.PAUSED
        if self._done:
            return Ending.COMPLETED
        return Ending.STOPPED if self._requests.stop else None

    @property
    def _done(self) -> bool:
        """Whether nothing is left to do. (An evaluation that a stop left out after the last step is not made up for.)"""
        return self._step == self._settings.num_steps and (not self._evaluation_owed or self._requests.stop)

    def _hold(self) -> bool:
        """Wait between two steps, everything in memory; whether everything is saved and the memory is to be freed."""
        reported = False
        with self._speed.left_out():
            while not self._requests.stop and (desired := self._requests.control.desired_state) is not DesiredState.RUN:
                if desired is DesiredState.UNLOAD and (self._step == 0 or self._save()):
                    return True
                if not reported:
                    reported = True
                    message = f"Paused after step {self._step}; everything stays in memory"
                    data = {"step": self._step, "released": False}
                    self._recorder.event("paused", message, step=self._step, data=data)
                self._requests.hold()
                if self._saver.due:
                    self._save()
        if reported and not self._requests.stop:
            self._recorder.event(
                "resumed", f"Resumed after step {self._step}", step=self._step, data={"step": self._step}
            )
        return False

    def _log(self) -> None:
        rows = {site: trainer.interval_metrics(self._step) for site, trainer in self._trainers.items()}
        self._steps.refuse_non_finite()
        self._recorder.training(self._step, rows)
        self._recorder.job(
            self._step,
            {
                "tokens_per_second": self._speed.tokens_per_second(),
                "tokens": float(self._step * self._settings.batch_size),
                "num_steps": float(self._settings.num_steps),
                "epoch": self._prepared.stream.epoch,
                "seconds": self._speed.seconds,
            },
        )
        self._warn(self._watch.judge(self._step, rows))
        if self._saver.trouble is None:
            self._recorder.recovered(self._step)

    def _phase(self, name: str, message: str) -> None:
        self._recorder.event("phase", message, step=self._step, data={"name": name})

    def _evaluate(self) -> None:
        work = f"Evaluating step {self._step} on held-out text"
        self._phase("evaluation", work)
        progress = Progress(work, partial(self._phase, "evaluation"), step=0.05, seconds=PHASE_SECONDS)
        with self._speed.left_out():
            try:
                with self._requests.interruptible():
                    hit("evaluation.begin")
                    self._prepared.calibration.calibrate(self._trainers)
                    rows = self._prepared.held_out.evaluate(self._trainers, progress)
                    self._steps.read_again()
            except (OutOfMemory, RuntimeError, MemoryError) as error:
                self._evaluation_owed = False
                self._report_memory(error, f"in the evaluation after step {self._step}: it is left out")
                return
            self._evaluation_owed = False
            self._recorder.evaluation(self._step, {site: rows[site] for site in rows if site not in self._evaluated})
            self._evaluated.clear()
            means = Means(*(fmean(row[name] for row in rows.values()) for name in Means._fields))
            self._held_out = {self._step: means}
            shown = "; ".join(f"{site}: FVU {row['fvu']:.4f}, L0 {row['l0']:.1f}" for site, row in rows.items())
            self._recorder.event("evaluation", f"Held-out {shown}", step=self._step, data={"sites": rows})
            self._warn(self._watch.judge_held_out(rows))

    def _warn(self, advices: list[Advice]) -> None:
        for advice in advices:
            self._recorder.event("warning", advice.sentence, step=self._step, data=advice.data)

    def _report_memory(self, error: Exception, where: str) -> None:
        """Report that memory was short; an error of another kind is raised again."""
        if not is_out_of_memory(error):
            raise error
        data = {"step": self._step, "site": None}
        self._recorder.event("out_of_memory", f"Out of memory {where}", step=self._step, data=data)

    def _save(self) -> bool:
        """Save a checkpoint; whether it is on the disk."""
        steps = self._steps
        with self._speed.left_out():
            steps.refuse_non_finite()
            loop = LoopState(
                evaluation_owed=self._evaluation_owed,
                ahead=tuple(sorted(steps.ahead)),
                micro_batches=steps.sizes.tokens,
                contexts=steps.sizes.contexts,
                seconds=self._speed.seconds,
            )
            return self._saver.save(steps.done, steps.position, self._held_out.get(steps.done), loop)

    def _export(self, *, completed: bool) -> None:
        """Write the result, with thresholds for the weights as they are."""
        try:
            self._prepared.calibration.calibrate(self._trainers)
        except (OutOfMemory, RuntimeError, MemoryError) as error:
            self._report_memory(
                error, f"while the thresholds of step {self._step} were searched: the running ones are exported"
            )
        export_results(self._prepared, self._step, completed=completed)

    def _export_while_unloaded(self) -> None:
        """Export the SAEs as they stand: an unloaded job that is then stopped has no process that could."""
        if self._step == 0:
            return
        try:
            self._export(completed=False)
        except OSError as error:
            message = f"The SAEs of step {self._step} could not be written ({error}); the checkpoint is sound"
            self._recorder.event("warning", message, step=self._step)

    def _finish(self, ending: Ending) -> None:
        """Save and export. What one of them has written stays when the other fails, with its OSError."""
        if self._step == 0:
            return
        self._phase("saving", f"Saving step {self._step}")
        saved = self._save()
        self._phase("export", "Writing the SAEs")
        self._export(completed=ending is Ending.COMPLETED)
        if not saved and self._saver.trouble is not None:
            raise self._saver.trouble
