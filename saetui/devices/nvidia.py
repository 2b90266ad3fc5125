"""NVIDIA cards, read with nvidia-smi where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from saetui.devices.measurements import Measurement, Missing, device_reading
from saetui.protocol.messages import DeviceReading

QUERY = ("name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw")
TIMEOUT_SECONDS = 5.0
MIB = 1 << 20
_FACTORS = {"load": 0.01, "memory_used": MIB, "memory_total": MIB, "temperature": 1.0, "power": 1.0}


def read_nvidia(run: Callable[[list[str]], str] | None = None) -> DeviceReading | None:
    """A reading of the first card; None where there is no nvidia-smi, or no card. `run` stands in for a process."""
    program = shutil.which("nvidia-smi") if run is None else "nvidia-smi"
    if program is None:
        return None
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        output = (run or _run)(command)
    except (OSError, subprocess.SubprocessError):
        # A driver that does not answer counts as none: the processor's reading is shown instead.
        return None
    return parse(output)


def parse(output: str) -> DeviceReading | None:
    """Read nvidia-smi's answer (CSV without head and units); None where it names no card."""
    for line in output.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(QUERY):
            name, *rest = values
            measured = {field: _scaled(text, factor, field) for (field, factor), text in zip(_FACTORS.items(), rest)}
            return device_reading(name, "cuda", measured)
    return None


def _scaled(text: str, factor: float, field: str) -> Measurement:
    try:
        return float(text) * factor
    except ValueError:
        return Missing(f"nvidia-smi says {text.strip('[]')} for {field}")


def _run(command: list[str]) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True, stdin=subprocess.DEVNULL
    ).stdout
