"""The training loop: a story of steps, one model pass feeding every site."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from statistics import fmean

from saetui.failpoints import hit
from saetui.rundir.control import DesiredState
from saetui.rundir.metrics import MetricReader
from saetui.training.checkpoint import LoopState, Means
from saetui.training.control import Wishes
from saetui.training.ledger import Ledger
from saetui.training.out_of_memory import OutOfMemory, is_out_of_memory
from saetui.training.results import export_results
from saetui.training.saving import Saver
from saetui.training.setup import Prepared
from saetui.training.speed import Speed
from saetui.training.steps import Steps
from saetui.training.stopping import StopNoticed
from saetui.training.warnings import Advice, Watch


class Ending(str, Enum):
    """Why a training ended, failures apart. `paused`: saved, and its memory freed."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    PAUSED = "paused"


@dataclass(frozen=True)
class Outcome:
    """How a training ended, failures apart."""

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
    """Takes steps until the budget is spent or a stop is wished; logs, evaluates, saves and pauses on the way."""

    def __init__(self, prepared: Prepared, wishes: Wishes, ledger: Ledger, saver: Saver) -> None:
        self._prepared = prepared
        self._settings = prepared.settings
        self._trainers = prepared.trainers
        self._wishes = wishes
        self._ledger = ledger
        self._saver = saver
        self._steps = Steps(prepared, ledger, wishes)
        self._watch = Watch(prepared.spec.architecture, prepared.settings)
        self._speed = Speed(prepared.settings.batch_size)
        # An evaluation that was due and is not made yet; what the last one found, by its step.
        self._owed = False
        self._found: dict[int, Means] = {}
        self._noted: set[str] = set()

    def run(self) -> Outcome:
        """Train to the end, save, and export the result.

        Raises:
            TrainingError: the loss is no longer finite, or the memory does not suffice.
            OSError: the result cannot be written.
        """
        self._resume()
        while (ending := self._between_steps()) is None:
            try:
                self._advance()
            except StopNoticed:
                continue  # it came while activations were read or evaluated: the finished steps stand
            except OutOfMemory as error:
                raise self._steps.too_large(error, saved=self._save()) from error
        if ending is Ending.PAUSED:
            self._leave_result()
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
            self._owed = state.evaluation_owed
            if self._owed:
                self._noted = self._evaluated_already()
            self._speed = Speed(self._settings.batch_size, state.seconds)

    def _evaluated_already(self) -> set[str]:
        """Sites whose evaluation of this step an earlier process wrote down, before it was killed."""
        log = MetricReader(self._prepared.run.evaluation_metrics)
        log.poll()
        newest = {site: log.latest(site) for site in self._trainers}
        return {site for site, row in newest.items() if row is not None and row[0] == self._step}

    def _advance(self) -> None:
        settings = self._settings
        if self._owed:
            self._evaluate()
        if self._step == settings.num_steps:
            return
        self._steps.take()
        self._speed.step()
        last = self._step == settings.num_steps
        if self._step % settings.log_interval == 0 or last:
            self._log()
        if self._step % settings.eval_interval == 0 or last:
            self._owed = True
            self._evaluate()
        if self._step % settings.checkpoint_interval == 0:
            self._save()

    def _between_steps(self) -> Ending | None:
        """Do what is wished between two steps; why to end, or None to go on."""
        trouble = self._wishes.take_trouble()
        if trouble is not None:
            self._ledger.event("warning", trouble, step=self._step)
        if self._saver.due:
            self._save()
        if self._wishes.desired_state is not DesiredState.RUN and not self._done and self._hold():
            return Ending.PAUSED
        if self._done:
            return Ending.COMPLETED
        return Ending.STOPPED if self._wishes else None

    @property
    def _done(self) -> bool:
        """Nothing is left to do (an evaluation that a stop left out at the very end is not made up for)."""
        return self._step == self._settings.num_steps and (not self._owed or bool(self._wishes))

    def _hold(self) -> bool:
        """Wait between two steps, everything in memory; whether it is saved and the memory is to be freed."""
        said = False
        with self._speed.left_out():
            while not self._wishes and (wish := self._wishes.desired_state) is not DesiredState.RUN:
                if wish is DesiredState.UNLOAD and (self._step == 0 or self._save()):
                    return True
                if not said:
                    said = True
                    self._ledger.event(
                        "paused",
                        f"Paused after step {self._step}; everything stays in memory",
                        step=self._step,
                        data={"step": self._step, "released": False},
                    )
                self._wishes.hold()
                if self._saver.due:
                    self._save()
        if said and not self._wishes:
            self._ledger.event(
                "resumed", f"Resumed after step {self._step}", step=self._step, data={"step": self._step}
            )
        return False

    def _log(self) -> None:
        rows = {site: trainer.interval_metrics(self._step) for site, trainer in self._trainers.items()}
        self._steps.refuse_non_finite()
        self._ledger.training(self._step, rows)
        self._ledger.job(
            self._step,
            {
                "tokens_per_second": self._speed.tokens_per_second(),
                "tokens": float(self._step * self._settings.batch_size),
                "num_steps": float(self._settings.num_steps),
                "epoch": self._prepared.stream.epoch,
                "seconds": self._speed.seconds,
            },
        )
        self._advise(self._watch.look(self._step, rows))
        if self._saver.trouble is None:
            self._ledger.recovered(self._step)

    def _evaluate(self) -> None:
        with self._speed.left_out():
            try:
                with self._wishes.interrupting():
                    hit("evaluation.begin")
                    self._prepared.calibration.calibrate(self._trainers)
                    rows = self._prepared.held_out.evaluate(self._trainers)
                    self._steps.read_anew()
            except (OutOfMemory, RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._owed = False
                message = f"Out of memory in the evaluation after step {self._step}: it is left out"
                self._ledger.event("out_of_memory", message, step=self._step, data={"step": self._step, "site": None})
                return
            self._owed = False
            self._ledger.evaluation(self._step, {site: row for site, row in rows.items() if site not in self._noted})
            self._noted.clear()
            self._found = {self._step: Means(*(fmean(row[name] for row in rows.values()) for name in Means._fields))}
            shown = "; ".join(f"{site}: FVU {row['fvu']:.4f}, L0 {row['l0']:.1f}" for site, row in rows.items())
            self._ledger.event("evaluation", f"Held-out {shown}", step=self._step, data={"sites": rows})
            self._advise(self._watch.look_held_out(self._step, rows))

    def _advise(self, advices: list[Advice]) -> None:
        for advice in advices:
            self._ledger.event("warning", advice.sentence, step=self._step, data=advice.data)

    def _save(self) -> bool:
        steps = self._steps
        with self._speed.left_out():
            steps.refuse_non_finite()
            loop = LoopState(
                evaluation_owed=self._owed,
                ahead=tuple(sorted(steps.ahead)),
                micro_batches=steps.sizes.tokens,
                contexts=steps.sizes.contexts,
                seconds=self._speed.seconds,
            )
            return self._saver.save(steps.done, steps.position, self._found.get(steps.done), loop)

    def _export(self, *, completed: bool) -> None:
        """Write the result, by thresholds for the weights as they are.

        Raises:
            OSError: it cannot be written.
        """
        try:
            self._prepared.calibration.calibrate(self._trainers)
        except (OutOfMemory, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            message = (
                f"Out of memory while the thresholds of step {self._step} were searched: the running ones are exported"
            )
            self._ledger.event("out_of_memory", message, step=self._step, data={"step": self._step, "site": None})
        export_results(self._prepared, self._step, completed=completed)

    def _leave_result(self) -> None:
        """Export the SAEs as they stand: a released job that is stopped has no process any more that could."""
        if self._step == 0:
            return
        try:
            self._export(completed=False)
        except OSError as error:
            message = f"The SAEs of step {self._step} could not be written ({error}); the checkpoint is sound"
            self._ledger.event("warning", message, step=self._step)

    def _finish(self, ending: Ending) -> None:
        """Save and export; what is saved or exported already stays when the other fails.

        Raises:
            OSError: one of them failed.
        """
        if self._step == 0:
            return
        saved = self._save()
        self._export(completed=ending is Ending.COMPLETED)
        if not saved and self._saver.trouble is not None:
            raise self._saver.trouble
