"""When checkpoints are saved, what happens when they cannot be, and which of them stay."""

from __future__ import annotations

import time

import msgspec

from saetui.rundir.checkpoints import delete_checkpoint, list_checkpoints
from saetui.training.checkpoint import Environment, LoopState, Means, environment_now, load_loop_state, save_checkpoint
from saetui.training.control import Wishes
from saetui.training.ledger import Ledger
from saetui.training.retention import delete_superfluous, rules_of
from saetui.training.setup import Prepared

RETRY_SECONDS = 2.0
"""The least time between two tries to save on a disk that refused."""
RETRY_FACTOR = 10.0
"""A try that took long before it failed is repeated so much later, in its own times: the training comes first."""


class Saver:
    """Saves the checkpoints of one training, at most one for a step."""

    def __init__(self, prepared: Prepared, wishes: Wishes, ledger: Ledger, answered: int) -> None:
        """`answered`: how many requests for a checkpoint earlier processes of the job have answered."""
        self._prepared = prepared
        self._wishes = wishes
        self._ledger = ledger
        self._directory = prepared.run.checkpoints
        self._environment = environment_now(prepared.model.device)
        self._answered = answered
        self._saved: int | None = prepared.step or None
        self._owed = False
        self._not_before = 0.0
        self.trouble: OSError | None = None

    def resume(self) -> LoopState | None:
        """What the checkpoint that was resumed from says of the loop; and those that are not sound are put away.

        They are all newer than it, and would pass for the newest when the rules of retention choose.
        """
        for path in sorted(self._directory.glob("step_*")):
            name = path.name.removeprefix("step_")
            if name.isdigit() and (step := int(name)) > self._prepared.step:
                delete_checkpoint(path)
                self._ledger.event(
                    "warning",
                    f"The checkpoint of step {step} was damaged, and is removed",
                    step=self._prepared.step,
                    data={"checkpoint": step},
                )
        for info in list_checkpoints(self._directory):
            if info.step == self._prepared.step:
                state = load_loop_state(info.path)
                self._compare(state.environment)
                return state
        return None

    @property
    def due(self) -> bool:
        """Whether a checkpoint was asked for, or is owed since the disk refused it, and may be tried now."""
        # A control file that had to be written anew counts from 0 again.
        self._answered = min(self._answered, self._wishes.checkpoints)
        return (self._owed or self._wishes.checkpoints > self._answered) and time.monotonic() >= self._not_before

    def save(self, step: int, stream: dict[str, int], held_out: Means | None, loop: LoopState) -> bool:
        """Save the checkpoint of a step, unless it is there; whether it is there now.

        A disk that refuses is no error here: the save is owed, and `due` says when to try again.

        Args:
            step: finished steps; nothing is saved before the first.
            stream: where the stream stood after them.
            held_out: what an evaluation of this step found, where there was one.
            loop: what the loop carries over.

        Raises:
            TrainingError: a weight or a moment is not finite.
        """
        if step == 0:
            return False
        requests = self._wishes.checkpoints
        if self._saved == step:
            self._answer(requests, f"The checkpoint of step {step} is there already", step)
            return True
        began = time.monotonic()
        try:
            # A checkpoint says that the metrics up to its step are there.
            self._ledger.sync()
            states = {site: trainer.state() for site, trainer in self._prepared.trainers.items()}
            loop = msgspec.structs.replace(loop, environment=self._environment)
            save_checkpoint(self._directory, step, self._prepared.origin, states, stream, held_out, loop)
            self._saved = step
            self._answered = max(self._answered, requests)
            self._ledger.event(
                "checkpoint",
                f"Saved the checkpoint of step {step}",
                step=step,
                data={"step": step, "requests": requests},
            )
            delete_superfluous(self._directory, self._wishes.retention or rules_of(self._prepared.settings))
        except OSError as error:
            self.trouble = error
            self._owed = self._saved != step
            took = time.monotonic() - began
            self._not_before = time.monotonic() + max(RETRY_SECONDS, RETRY_FACTOR * took)
            self._ledger.refused(error, step)
            return not self._owed
        self.trouble = None
        self._owed = False
        self._ledger.recovered(step)
        return True

    def _answer(self, requests: int, message: str, step: int) -> None:
        if requests > self._answered:
            self._answered = requests
            self._ledger.event("checkpoint", message, step=step, data={"step": step, "requests": requests})

    def _compare(self, then: Environment | None) -> None:
        """Say it where the rest of the run cannot be bit for bit what it would have been."""
        now = self._environment
        if then is None or then == now:
            return
        changes = [
            f"{name} {before} → {after}"
            for name, before, after in (
                ("torch", then.torch, now.torch),
                ("threads", then.threads, now.threads),
                ("device", then.device, now.device),
                ("transformers", then.transformers, now.transformers),
            )
            if before != after
        ]
        self._ledger.event(
            "warning",
            f"Resumed in another environment ({', '.join(changes)}): sums round differently from here on",
            step=self._prepared.step,
            data={"changes": changes},
        )
