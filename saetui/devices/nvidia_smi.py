"""NVIDIA cards, read with nvidia-smi: a process for each reading, so only where NVML cannot be asked itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from saetui.devices.measurements import Measured, Missing, device_load
from saetui.protocol.device_load import DeviceLoad

QUERY = ("name", "utilization.gpu", "memory.total", "memory.free", "temperature.gpu", "power.draw")
TIMEOUT_SECONDS = 5.0
MIB = 1 << 20

Run = Callable[[list[str]], str]


def read_with_nvidia_smi(run: Run | None = None) -> list[DeviceLoad]:
    """All cards; none where there is no nvidia-smi, or where it fails. `run` stands in for a process."""
    program = shutil.which("nvidia-smi") if run is None else "nvidia-smi"
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        return parse((run or _run)(command))
    except (OSError, subprocess.SubprocessError):
        # A driver that does not answer counts as none: the processor's reading is shown instead.
        return []


def parse(output: str) -> list[DeviceLoad]:
    """Read nvidia-smi's answer (CSV without head and units); empty where it names no card."""
    rows = [[value.strip() for value in line.split(",")] for line in output.splitlines()]
    return [_card(*row) for row in rows if len(row) == len(QUERY)]


def _card(name: str, load: str, total: str, free: str, temperature: str, power: str) -> DeviceLoad:
    total_mib, free_mib = _number(total), _number(free)
    memory: tuple[Measured[int], Measured[int], Measured[int]]
    if isinstance(total_mib, Missing) or isinstance(free_mib, Missing):
        memory = (Missing("nvidia-smi does not say it"),) * 3
    else:
        memory = (int(total_mib * MIB), int(free_mib * MIB), int((total_mib - free_mib) * MIB))
    percent = _number(load)
    return device_load(
        name,
        "cuda",
        {
            "load_share": percent if isinstance(percent, Missing) else percent / 100,
            **dict(zip(("memory_total_bytes", "memory_available_bytes", "memory_used_bytes"), memory)),
            "temperature_celsius": _number(temperature),
            "power_watts": _number(power),
            # The name of the column depends on the driver, and nvidia-smi answers nothing at all to a name it does not know.
            "slowed_by": Missing("only NVML tells it"),
        },
    )


def _number(text: str) -> Measured[float]:
    try:
        return float(text)
    except ValueError:
        return Missing("nvidia-smi does not say it")


def _run(command: list[str]) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True, stdin=subprocess.DEVNULL
    ).stdout
