"""torch, and the devices that it computes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from saetui.cli.checks.finding import Finding, good, problem, warning
from saetui.cli.output import note
from saetui.cli.task import run_task
from saetui.errors import SaetuiError


def check_torch() -> Iterator[Finding]:
    """The version of torch, and each device after a trial product, from a process of its own."""
    try:
        found = run_task("saetui.training.tasks.probe", {}, note)
    except SaetuiError as error:
        yield problem("torch", error.message, error.suggestion)
        return
    yield from torch_findings(found, has_card=shutil.which("nvidia-smi") is not None)


def torch_findings(found: Mapping[str, Any], *, has_card: bool) -> Iterator[Finding]:
    """Findings from the result of `saetui.training.tasks.probe`. `has_card`: NVIDIA's driver is installed."""
    yield good("torch", f"{found['torch']}, transformers {found['transformers']}")
    for device in found["devices"]:
        if device["works"]:
            yield good("device", f"{device['name']}, {'with' if device['bfloat16'] else 'without'} bfloat16")
        else:
            message = f"{device['name']} does not work: {device['why']}."
            yield problem("device", message, "Choose another with -o device=cpu, or repair its driver.")
    if has_card and len(found["devices"]) == 1:
        reason = "torch was built without CUDA" if found["cuda_built"] is None else "its driver and torch do not fit"
        yield warning("device", f"An NVIDIA driver is here, and torch cannot use it: {reason}.",
                      "Install the torch that fits the driver (nvidia-smi names its CUDA version).")  # fmt: skip
