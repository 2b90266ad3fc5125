"""Tasks on the command line: each line of their progress is a note."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from saetui.cli.output import note
from saetui.client.task import Task


def run_task(
    module: str, request: Mapping[str, object], progress: Callable[[str], None] = note, *, seconds: float | None = None
) -> Any:
    """Run a task and wait for its result; see `saetui.client.task.Task`.

    Raises:
        TookTooLong: it took longer than `seconds`.
        TorchError: torch, or what the task needs beside it, is missing, does not fit or does not load.
        SaetuiError: the task failed, or its process ended without an answer.
    """
    return Task(module, request, progress, seconds=seconds).run()
