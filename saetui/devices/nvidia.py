"""The NVIDIA cards of this machine, through NVML where it answers, else with nvidia-smi."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from saetui.devices.nvidia_smi import Run, read_with_nvidia_smi
from saetui.devices.nvml import Nvml, load_library
from saetui.protocol.device_load import DeviceLoad


class NvidiaCards:
    """All cards. Keeps NVML open from the first reading to `close`, because opening it may take a second.

    Args:
        library: finds NVML.
        run: stands in for the process of nvidia-smi.
    """

    def __init__(self, library: Callable[[], Any | None] = load_library, run: Run | None = None) -> None:
        self._library, self._run = library, run
        self._nvml: Nvml | None = None

    def read(self) -> list[DeviceLoad]:
        """The cards in the order of the driver. May take a moment. A driver that is replaced meanwhile is found again."""
        if self._nvml is None:
            self._nvml = Nvml.open(self._library())
        cards = None if self._nvml is None else self._nvml.read_cards()
        if cards is None:
            self.close()
            return read_with_nvidia_smi(self._run)
        return cards

    def close(self) -> None:
        """Let go of the driver, so that it can be replaced and the cards can sleep. The next reading opens it again."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None
