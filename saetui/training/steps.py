"""The steps of a training: a batch from the stream, a step at every site, and less at a time when memory is short."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from saetui.display.figures import size
from saetui.errors import TrainingError
from saetui.rundir.checkpoints import newest_sound
from saetui.training.checkpoint import LoopState
from saetui.training.control import Requests
from saetui.training.out_of_memory import Chunks, OutOfMemory
from saetui.training.setup import Prepared
from saetui.training.tensor_file import size_of


class Sizes(NamedTuple):
    """How much is worked on at a time: tokens by site, and contexts of the model (None: all at once)."""

    tokens: dict[str, int]
    contexts: int | None


class Steps:
    """Takes steps. A step that fails at one site can be continued exactly where it failed.

    Attributes:
        done: finished steps.
        position: of the stream after them; an interrupted extraction leaves the stream itself anywhere.
        ahead: sites that have already taken the next step when another site failed.
        sizes: as of the last finished step.
    """

    def __init__(self, prepared: Prepared, requests: Requests) -> None:
        self._prepared = prepared
        self._trainers = prepared.trainers
        self._stream = prepared.stream
        self._requests = requests
        self._immediate = prepared.model.device.type == "cpu"
        self.done = prepared.step
        self.position = prepared.stream.state()
        self.ahead: set[str] = set()
        self.sizes = self._sizes_now()

    def resume(self, state: LoopState) -> None:
        """Continues from the state of the loop that wrote a checkpoint."""
        self.ahead = set(state.ahead)
        for site, tokens in state.micro_batches.items():
            self._trainers[site].micro_batch.size = tokens
        if state.contexts is not None:
            self._prepared.extractor.chunks.size = state.contexts
            self._stream.restore(self.position)
        self.sizes = self._sizes_now()

    def take(self) -> None:
        """One step at every site.

        Raises:
            StopRequested: while activations were read; the step is not begun.
            OutOfMemory: not even the smallest chunk fits; some sites may be ahead.
            TrainingError: the loss is not finite.
        """
        with self._requests.interruptible():
            batch = self._next_batch()
        for site, trainer in self._trainers.items():
            if site not in self.ahead:
                trainer.step(batch, self.done)
                self.ahead.add(site)
                self._report_shortages(site, trainer.micro_batch)
        self.ahead.clear()
        self.done += 1
        self.position = self._stream.state()
        self.sizes = self._sizes_now()
        if self._immediate:
            # On a GPU this would wait for the device at every step; there it is done for each log and each save.
            self.refuse_non_finite()

    def read_again(self) -> bool:
        """Whether the memory was short for the model. If so the buffer is read again, all of it in chunks of one size, because
        a run that is resumed in the middle of the buffer reads it so too."""
        if not self._report_shortages(None, self._prepared.extractor.chunks):
            return False
        self._stream.restore(self.position)
        return True

    def refuse_non_finite(self) -> None:
        """Refuses to log or to save what is not finite. Waits for the device.

        Raises:
            TrainingError: with the step, its tokens, and the last sound checkpoint.
        """
        for site, trainer in self._trainers.items():
            bad = trainer.first_non_finite_step()
            if bad is None:
                continue
            saved = newest_sound(self._prepared.run.checkpoints)
            sound = f"the last sound checkpoint is of step {saved.step}" if saved else "there is no checkpoint yet"
            tokens = self._prepared.settings.batch_size
            raise TrainingError(
                f"The loss of {site} was not finite at step {bad} "
                f"(tokens {(bad - 1) * tokens} to {bad * tokens}); {sound}.",
                "Lower the learning rate, or lengthen its warm-up.",
            )

    def too_large(self, error: OutOfMemory, *, saved: bool) -> OutOfMemory:
        """The failure, with what did not fit and what would fit."""
        latents, count = self._prepared.settings.latents, len(self._trainers)
        kept = f"saved after step {self.done}" if saved else "nothing could be saved"
        # Weights, their gradients and two moments.
        largest = max(4 * sum(map(size_of, trainer.sae.parameters())) for trainer in self._trainers.values())
        if count > 1:
            spared = min(count - 1, max(1, math.ceil((error.needed or 0) / largest)))
            fits = f"{count - spared} of the {count} sites would fit: each takes {size(largest)}"
        else:
            fits = f"{max(1, latents // 2)} latents would take {size(largest / 2)} less"
        return OutOfMemory(
            f"Out of memory at step {self.done + 1}, training {count} SAEs of {latents} latents "
            f"at {', '.join(self._trainers)} ({kept}): {error.message}",
            f"{fits}. Or end other programs, and resume.",
            error.needed,
        )

    def _next_batch(self) -> dict[str, Tensor]:
        batch = self._stream.next()
        while self.read_again():
            batch = self._stream.next()
        return batch

    def _report_shortages(self, site: str | None, chunks: Chunks) -> bool:
        """Logs where the memory was short, and returns whether it was."""
        shortages = chunks.shortages()
        for shortage in shortages:
            self._prepared.recorder.event(
                "out_of_memory",
                shortage.sentence(site or "the language model"),
                step=self.done,
                data={"step": self.done, "site": site, shortage.unit: shortage.size, "needed": shortage.needed},
            )
        return bool(shortages)

    def _sizes_now(self) -> Sizes:
        sizes = {site: trainer.micro_batch.size for site, trainer in self._trainers.items()}
        tokens = {site: tokens for site, tokens in sizes.items() if tokens is not None}
        return Sizes(tokens, self._prepared.extractor.chunks.size)
