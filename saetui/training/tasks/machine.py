"""`python -m saetui.training.tasks.machine`: reads this machine for `saetui doctor`; loads no torch.

Request: `{"home": PATH}`. Result: a saetui.protocol.machine_health.MachineHealth. In a process of its own, because clients measure
no devices, and because a disk that does not answer holds whoever writes to it for ever.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from saetui.devices.health import read_health
from saetui.training.tasks.task import report, serve_task


def read_machine(request: dict[str, Any]) -> Any:
    """The facts about this machine."""
    return msgspec.to_builtins(read_health(Path(request["home"]), report=report))


if __name__ == "__main__":
    sys.exit(serve_task(read_machine))
