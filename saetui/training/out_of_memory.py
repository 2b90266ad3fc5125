"""Too little memory costs a slower step and not the run: the same work again, in halves.

Nothing is changed by what fails here: gradients are thrown away and gathered anew, activations are read anew. So the
result is that of a machine with more memory, but for the rounding of sums.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import psutil
import torch
from torch import Tensor

from saetui.activations import ActivationExtractor, LanguageModel, Site
from saetui.errors import TrainingError
from saetui.failpoints import hit
from saetui.sae import DeadSet, Losses, SparseAutoencoder

_SIGNS = (
    "out of memory",  # CUDA, its allocator and its libraries
    "can't allocate memory",  # DefaultCPUAllocator
    "not enough memory",  # the same, elsewhere
    "NVML_SUCCESS == r INTERNAL ASSERT FAILED",  # a Jetson, which has no NVML to ask how much is free
    "CUBLAS_STATUS_ALLOC_FAILED",
    "cudaErrorMemoryAllocation",
    "std::bad_alloc",
)
_ASKED = re.compile(r"allocate ([\d.]+) ?(bytes|B|KiB|MiB|GiB|TiB)")
_UNITS = {"bytes": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class OutOfMemory(TrainingError):
    """Not even the smallest piece fits."""

    kind: ClassVar[str] = "out_of_memory"

    def __init__(self, message: str, suggestion: str | None = None, needed: int | None = None) -> None:
        """`needed`: bytes that could not be had, where that is known."""
        super().__init__(message, suggestion)
        self.needed = needed


@dataclass(frozen=True)
class Shortage:
    """One time that the memory did not suffice.

    Attributes:
        needed: bytes of the allocation that failed, where the error says it.
        free: bytes free on the device after everything was handed back.
        size: of the pieces that are tried instead.
        unit: what the size counts, tokens or contexts.
    """

    needed: int | None
    free: int
    size: int
    unit: str

    def sentence(self, where: str) -> str:
        """What happened and what is done about it."""
        needed = (
            "" if self.needed is None else f" ({self.needed / 1e6:.0f} MB asked for, {self.free / 1e6:.0f} MB free)"
        )
        return f"Out of memory at {where}{needed}: the same step again, {self.size} {self.unit} at a time from now on"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory was short, in whichever of its many words."""
    if isinstance(error, (OutOfMemory, torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def bytes_asked(error: BaseException) -> int | None:
    """How much the failed allocation was for, where the error says it."""
    found = _ASKED.search(str(error))
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


class Pieces:
    """How much is worked through at a time, halved whenever the memory does not suffice."""

    def __init__(self, size: int | None, unit: str, device: torch.device) -> None:
        """`size` None: everything at once."""
        self.size = size
        self._unit = unit
        self._device = device
        self._shortages: list[Shortage] = []

    def shortages(self) -> list[Shortage]:
        """What happened since the last call."""
        happened, self._shortages = self._shortages, []
        return happened

    def halve(self, whole: int, needed: int | None) -> None:
        """Go on with half; to be called when nothing refers to the failed work any more.

        Args:
            whole: the size of the work.
            needed: bytes that were asked for.

        Raises:
            OutOfMemory: there is nothing to halve.
        """
        before = whole if self.size is None else min(self.size, whole)
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        free = free_bytes(self._device)
        if before <= 1:
            asked = "what it needs" if needed is None else f"{needed / 1e6:.1f} MB"
            raise OutOfMemory(
                f"The memory does not suffice even for one of its {self._unit} at a time: {asked} could not be had, "
                f"{free / 1e6:.1f} MB are free.",
                "Lower the number of layers or the expansion factor, or end other programs.",
                needed,
            )
        self.size = -(-before // 2)
        self._shortages.append(Shortage(needed, free, self.size, self._unit))


class MicroBatch(Pieces):
    """The tokens that the SAE of one site learns from at a time."""

    def __init__(self, size: int, device: torch.device) -> None:
        super().__init__(size, "tokens", device)

    def accumulate(
        self,
        sae: SparseAutoencoder,
        x: Tensor,
        target: Tensor | None = None,
        *,
        sparsity_coefficient: float = 0.0,
        dead: DeadSet | None = None,
    ) -> Losses:
        """`sae.accumulate` on gradients that are zero, in pieces small enough for the memory.

        Raises:
            OutOfMemory: one token is too much.
        """
        while True:
            try:
                hit("step.accumulate")
                return sae.accumulate(
                    x, target, sparsity_coefficient=sparsity_coefficient, dead=dead, micro_batch=self.size
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                needed = bytes_asked(error)
            # Outside the handler, where the error no longer holds on to the tensors of its frames.
            sae.zero_grad(set_to_none=True)
            self.halve(x.shape[0], needed)


class PatientExtractor(ActivationExtractor):
    """Runs the model on fewer contexts at a time where the memory does not suffice for all that are asked for."""

    def __init__(self, model: LanguageModel, sites: Sequence[Site]) -> None:
        super().__init__(model, sites)
        self.pieces = Pieces(None, "contexts", model.device)

    @torch.no_grad()
    def run(self, tokens: Tensor, sink: Callable[[str, Tensor], None], attention_mask: Tensor | None = None) -> None:
        """As `ActivationExtractor.run`; a site may be handed to `sink` again, whole, after memory was short."""
        while True:
            try:
                hit("forward.run")
                self._run_in_pieces(tokens, sink, attention_mask)
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                needed = bytes_asked(error)
            self.pieces.halve(tokens.shape[0], needed)

    def _run_in_pieces(
        self, tokens: Tensor, sink: Callable[[str, Tensor], None], attention_mask: Tensor | None
    ) -> None:
        size = self.pieces.size or tokens.shape[0]
        if size >= tokens.shape[0]:
            super().run(tokens, sink, attention_mask)
            return
        read: dict[str, list[Tensor]] = {site.name: [] for site in self.sites}
        for start in range(0, tokens.shape[0], size):
            part = slice(start, start + size)
            super().run(
                tokens[part],
                lambda name, activation: read[name].append(activation.clone()),
                None if attention_mask is None else attention_mask[part],
            )
        for name, parts in read.items():
            sink(name, torch.cat(parts))
            parts.clear()
