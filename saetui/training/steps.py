"""The steps of a training: a batch from the stream, one step at every site, and what memory they are given."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from saetui.errors import TrainingError
from saetui.rundir.checkpoints import newest_sound
from saetui.sae import SparseAutoencoder
from saetui.training.checkpoint import LoopState
from saetui.training.control import Requests
from saetui.training.out_of_memory import Chunks, OutOfMemory
from saetui.training.setup import Prepared
from saetui.training.tensor_file import size_of


class Sizes(NamedTuple):
    """In what pieces the work is done: tokens for each site, and contexts for the model (None: all at once)."""

    tokens: dict[str, int]
    contexts: int | None


class Steps:
    """Takes steps, each whole or to be taken up again exactly where it broke off.

    Attributes:
        done: finished steps.
        position: where the stream stood after them; an extraction that is broken off leaves the stream anywhere.
        ahead: sites that have taken the next step already, when another one broke it off.
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
        """Go on as the loop did that wrote a checkpoint."""
        self.ahead = set(state.ahead)
        for site, size in state.micro_batches.items():
            self._trainers[site].micro_batch.size = size
        if state.contexts is not None:
            self._prepared.extractor.chunks.size = state.contexts
            self._stream.restore(self.position)
        self.sizes = self._sizes_now()

    def take(self) -> None:
        """One step at every site.

        Raises:
            StopRequested: while activations were read; the step is not begun.
            OutOfMemory: not even the smallest piece fits; some sites may be ahead.
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
            # Elsewhere it would wait for the device at every step; there each log and each save looks.
            self.refuse_non_finite()

    def read_anew(self) -> bool:
        """Whether the memory was short for the model; then the buffer is read again, all of it in pieces of one size:
        in a run that is resumed in the middle of it, it will be too."""
        if not self._report_shortages(None, self._prepared.extractor.chunks):
            return False
        self._stream.restore(self.position)
        return True

    def refuse_non_finite(self) -> None:
        """See that nothing non-finite is logged as progress or saved as good. Waits for the device.

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
        """The failure with what it was that did not fit, and what would."""
        latents, count = self._prepared.settings.latents, len(self._trainers)
        kept = f"saved after step {self.done}" if saved else "nothing could be saved"
        largest = max(_bytes_trained(trainer.sae) for trainer in self._trainers.values())
        if count > 1:
            spared = min(count - 1, max(1, math.ceil((error.needed or 0) / largest)))
            fits = f"{count - spared} of the {count} sites would fit: each takes {largest / 1e6:.0f} MB"
        else:
            fits = f"{max(1, latents // 2)} latents would take {largest / 2e6:.0f} MB less"
        return OutOfMemory(
            f"Out of memory at step {self.done + 1}, training {count} SAEs of {latents} latents "
            f"at {', '.join(self._trainers)} ({kept}): {error.message}",
            f"{fits}. Or end other programs, and resume.",
            error.needed,
        )

    def _next_batch(self) -> dict[str, Tensor]:
        batch = self._stream.next()
        while self.read_anew():
            batch = self._stream.next()
        return batch

    def _report_shortages(self, site: str | None, chunks: Chunks) -> bool:
        """Say where the memory was short; whether it was."""
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
        tokens = {site: size for site, size in sizes.items() if size is not None}
        return Sizes(tokens, self._prepared.extractor.chunks.size)


def _bytes_trained(sae: SparseAutoencoder) -> int:
    """Weights, their gradients and two moments."""
    return 4 * sum(size_of(parameter) for parameter in sae.parameters())
