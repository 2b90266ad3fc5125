"""The estimate of a training on this machine as it is now, from the supervisor's reading of the device."""

from __future__ import annotations

from saetui.catalog.models import ModelInfo
from saetui.errors import FormatError
from saetui.home import find_home
from saetui.protocol.messages import DeviceReading
from saetui.spec.estimates import Estimate, estimate
from saetui.spec.speed import read_figures
from saetui.spec.training_spec import TrainingSpec


def estimate_on_this_machine(spec: TrainingSpec, model: ModelInfo, reading: DeviceReading | None) -> Estimate:
    """The memory and time that a training needs, and whether it fits beside what runs now.

    Args:
        spec: complete.
        model: the model of the spec.
        reading: of the device; None while it has not been read.

    Raises:
        SpecError: values that are valid alone and not together.
        ModelError: the model's files are damaged.
    """
    kind = "cpu" if reading is None or spec.device == "cpu" else reading.kind
    # The reading of a GPU says nothing about the memory of the CPU.
    fitting = reading if reading is not None and kind == reading.kind else None
    available = (
        fitting.memory_total - fitting.memory_used
        if fitting is not None and fitting.memory_total is not None and fitting.memory_used is not None
        else None
    )
    try:
        figures = read_figures(find_home().machine_figures)
    except FormatError:
        figures = None  # without figures only the time is unknown
    return estimate(spec, model, available=available, device=kind, figures=figures)
