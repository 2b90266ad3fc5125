"""Where memory is short, the same work is done again in halves: the step is slower, and the run goes on.

A failed attempt leaves nothing behind: gradients are dropped and computed again, activations are read again. So the result is
that of a machine with more memory, but for the rounding of sums.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import psutil
import torch
from torch import Tensor

from saetui.activations import ActivationExtractor, LanguageModel, Site
from saetui.display.figures import size as size_of
from saetui.errors import TrainingError
from saetui.failpoints import hit

Result = TypeVar("Result")

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
    """Not even the smallest chunk fits."""

    kind: ClassVar[str] = "out_of_memory"

    def __init__(self, message: str, suggestion: str | None = None, needed: int | None = None) -> None:
        """`needed`: bytes that could not be allocated, where that is known."""
        super().__init__(message, suggestion)
        self.needed = needed


@dataclass(frozen=True)
class Shortage:
    """One time that memory ran out.

    Attributes:
        needed: bytes of the allocation that failed, where the error names them.
        free: bytes free on the device after everything was handed back.
        size: of the chunks that are tried instead.
        unit: what the size counts, tokens or contexts.
    """

    needed: int | None
    free: int
    size: int
    unit: str

    def sentence(self, where: str) -> str:
        """What happened, and what is done about it."""
        needed = "" if self.needed is None else f" ({size_of(self.needed)} asked for, {size_of(self.free)} free)"
        return f"Out of memory at {where}{needed}: the same step again, {self.size} {self.unit} at a time from now on"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory was short, by its type or by its words."""
    if isinstance(error, (OutOfMemory, torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def bytes_asked(error: BaseException) -> int | None:
    """The bytes of the failed allocation, where the error names them."""
    found = _ASKED.search(str(error))
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


class Chunks:
    """How much is worked on at a time: halved whenever memory runs out.

    Attributes:
        size: of a chunk, in `unit`; None for everything at once.
    """

    def __init__(self, size: int | None, unit: str, device: torch.device) -> None:
        """`unit`: what the size counts, tokens or contexts."""
        self.size = size
        self._unit = unit
        self._device = device
        self._shortages: list[Shortage] = []

    def shortages(self) -> list[Shortage]:
        """What happened since the last call."""
        happened, self._shortages = self._shortages, []
        return happened

    def halving(self, whole: int, work: Callable[[], Result], undo: Callable[[], object] = lambda: None) -> Result:
        """Does the work, which reads `size`, again and again with half the size until the memory suffices.

        Args:
            whole: the size of all of the work.
            work: what is done, in chunks of `size`.
            undo: drops what a failed attempt has left.

        Raises:
            OutOfMemory: there is not enough memory for a chunk of one.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                needed = bytes_asked(error)
            # Outside the handler, where the error no longer keeps the tensors of its frames alive.
            undo()
            self._halve(whole, needed)

    def _halve(self, whole: int, needed: int | None) -> None:
        before = whole if self.size is None else min(self.size, whole)
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        free = free_bytes(self._device)
        if before <= 1:
            asked = "what it needs" if needed is None else size_of(needed)
            raise OutOfMemory(
                f"There is not enough memory even for one of its {self._unit} at a time: {asked} could not be "
                f"allocated, {size_of(free)} are free.",
                "Lower the number of layers or the expansion factor, or end other programs.",
                needed,
            )
        self.size = -(-before // 2)
        self._shortages.append(Shortage(needed, free, self.size, self._unit))


class AdaptiveExtractor(ActivationExtractor):
    """Runs the model on fewer contexts at a time where memory runs out for all at once."""

    def __init__(self, model: LanguageModel, sites: Sequence[Site]) -> None:
        super().__init__(model, sites)
        self.chunks = Chunks(None, "contexts", model.device)

    @torch.no_grad()
    def run(self, tokens: Tensor, sink: Callable[[str, Tensor], None], attention_mask: Tensor | None = None) -> None:
        """As `ActivationExtractor.run`. After memory was short, `sink` gets a site again, whole."""

        def forward() -> None:
            hit("forward.run")
            self._run_in_chunks(tokens, sink, attention_mask)

        self.chunks.halving(tokens.shape[0], forward)

    def _run_in_chunks(
        self, tokens: Tensor, sink: Callable[[str, Tensor], None], attention_mask: Tensor | None
    ) -> None:
        size = self.chunks.size or tokens.shape[0]
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
