"""The memory that a training could use."""

from __future__ import annotations

from collections.abc import Iterator

from saetui.cli.checks.finding import Finding, good, warning
from saetui.display.figures import size

LITTLE_MEMORY = 2 << 30


def check_memory() -> Iterator[Finding]:
    """The memory that a training could use now."""
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    message = f"{size(memory.available)} of {size(memory.total)} available, {size(swap.total)} swap"
    if memory.available < LITTLE_MEMORY:
        yield warning("memory", f"{message}.", "Close other programs; on a Jetson, also leave its desktop: sudo init 3")
    else:
        yield good("memory", message)
