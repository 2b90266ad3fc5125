"""The estimate of a training on this machine as it is now: the domain's arithmetic on the supervisor's reading."""

from __future__ import annotations

from saetui.catalog.models import ModelInfo
from saetui.errors import FormatError
from saetui.home import find_home
from saetui.protocol.messages import DeviceReading
from saetui.spec.estimates import Estimate, estimate
from saetui.spec.speed import read_figures
from saetui.spec.training_spec import TrainingSpec


def estimate_on_this_machine(spec: TrainingSpec, model: ModelInfo, reading: DeviceReading | None) -> Estimate:
    """What a training would take, and whether it fits beside what runs now.

    Args:
        spec: complete.
        model: its model.
        reading: of the device; None while it has not been read.

    Raises:
        SpecError: values that are sound alone and not together.
        ModelError: the model's files are damaged.
    """
    kind = "cpu" if reading is None or spec.device == "cpu" else reading.kind
    # A card's reading says nothing of the processor's memory.
    asked = reading if reading is not None and kind == reading.kind else None
    available = (
        asked.memory_total - asked.memory_used
        if asked is not None and asked.memory_total is not None and asked.memory_used is not None
        else None
    )
    try:
        figures = read_figures(find_home().machine_figures)
    except FormatError:
        figures = None  # told by `saetui doctor`; without figures only the time is unknown
    return estimate(spec, model, available=available, device=kind, figures=figures)
