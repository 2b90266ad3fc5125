"""The training loop: a story of steps, one model pass feeding every site."""

from __future__ import annotations

import time
from dataclasses import dataclass

from saetui.errors import TrainingError
from saetui.rundir.checkpoints import delete_checkpoint, list_checkpoints
from saetui.training.checkpoint import save_checkpoint
from saetui.training.results import export_results
from saetui.training.retention import superfluous
from saetui.training.setup import Prepared
from saetui.training.speed import Speed
from saetui.training.stopping import StopWish

DEAD_WARNING = 0.10
"""The share of dead latents above which the user is warned."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended, failures apart."""

    completed: bool
    step: int

    @property
    def value(self) -> str:
        return "completed" if self.completed else "stopped"

    def sentence(self) -> str:
        """The end in words."""
        return f"Completed all {self.step} steps" if self.completed else f"Stopped after step {self.step}"


class Training:
    """Takes steps until the budget is spent or a stop is wished; logs, evaluates and saves on the way."""

    def __init__(self, prepared: Prepared, stop: StopWish) -> None:
        self._prepared = prepared
        self._settings = prepared.settings
        self._trainers = prepared.trainers
        self._recorder = prepared.recorder
        self._stop = stop
        self._step = prepared.step
        self._evaluated: dict[int, float] = {}
        self._warned: set[str] = set()
        self._speed = Speed(prepared.settings.batch_size)

    def run(self) -> Outcome:
        """Train to the end, save, and export the result.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        settings = self._settings
        while self._step < settings.num_steps and not self._stop:
            self._take_step()
            last = self._step == settings.num_steps
            if self._step % settings.log_interval == 0 or last:
                self._log()
            if self._step % settings.eval_interval == 0 or last:
                self._evaluate()
            if self._step % settings.checkpoint_interval == 0:
                self._save()
        if self._step > 0:
            self._save()
        completed = self._step >= settings.num_steps
        if self._step > 0:
            export_results(self._prepared, self._step, completed=completed)
        return Outcome(completed, self._step)

    def _take_step(self) -> None:
        batch = self._prepared.stream.next()
        for site, trainer in self._trainers.items():
            trainer.step(batch[site], self._step)
        self._step += 1
        self._speed.step()

    def _log(self) -> None:
        rows = {site: trainer.interval_metrics(self._step) for site, trainer in self._trainers.items()}
        self._refuse_non_finite()
        self._recorder.training(self._step, rows)
        self._recorder.job(
            self._step,
            {
                "tokens_per_second": self._speed.tokens_per_second(),
                "tokens": float(self._step * self._settings.batch_size),
                "num_steps": float(self._settings.num_steps),
                "epoch": self._prepared.stream.epoch,
            },
        )
        self._warn_of_dead(rows)

    def _evaluate(self) -> None:
        began = time.monotonic()
        rows = self._prepared.held_out.evaluate(self._trainers)
        self._recorder.evaluation(self._step, rows)
        self._evaluated[self._step] = sum(row["fvu"] for row in rows.values()) / len(rows)
        shown = "; ".join(f"{site}: FVU {row['fvu']:.4f}, L0 {row['l0']:.1f}" for site, row in rows.items())
        self._recorder.event("evaluation", f"Held-out {shown}", step=self._step, data={"sites": rows})
        for site, row in rows.items():
            if row["fvu"] >= 1:
                self._warn(
                    f"fvu {site}",
                    f"{site}: FVU {row['fvu']:.2f} is no better than the mean. Lower the penalty or the learning rate.",
                )
        self._speed.leave_out(time.monotonic() - began)

    def _save(self) -> None:
        began = time.monotonic()
        self._refuse_non_finite()
        self._recorder.sync()
        directory = self._prepared.run.checkpoints
        if any(checkpoint.step == self._step for checkpoint in list_checkpoints(directory)):
            return
        save_checkpoint(
            directory,
            self._step,
            {site: trainer.state() for site, trainer in self._trainers.items()},
            self._prepared.stream.state(),
            self._evaluated.get(self._step),
        )
        self._recorder.event("checkpoint", f"Saved the checkpoint of step {self._step}", step=self._step)
        for checkpoint in superfluous(list_checkpoints(directory), self._settings):
            delete_checkpoint(checkpoint.path)
        self._speed.leave_out(time.monotonic() - began)

    def _refuse_non_finite(self) -> None:
        """Nothing non-finite is ever logged as progress or saved as good."""
        for site, trainer in self._trainers.items():
            bad = trainer.first_non_finite_step()
            if bad is None:
                continue
            saved = list_checkpoints(self._prepared.run.checkpoints)
            sound = f"the last sound checkpoint is of step {saved[-1].step}" if saved else "there is no checkpoint yet"
            tokens = self._settings.batch_size
            raise TrainingError(
                f"The loss of {site} was not finite at step {bad} "
                f"(tokens {(bad - 1) * tokens} to {bad * tokens}); {sound}.",
                "Lower the learning rate, or lengthen its warm-up.",
            )

    def _warn_of_dead(self, rows: dict[str, dict[str, float]]) -> None:
        settled = self._step * self._settings.batch_size >= 2 * self._settings.dead_neuron_window
        for site, row in rows.items():
            share = row.get("dead_fraction", 0.0)
            if settled and share > DEAD_WARNING:
                self._warn(
                    f"dead {site}",
                    f"{site}: {share:.0%} of the latents are dead. "
                    "Lower the penalty, use a smaller width, or revive them (AuxK, resampling).",
                )

    def _warn(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._recorder.event("warning", message, step=self._step)
