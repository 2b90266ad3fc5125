"""Asking a task for a check: its answer, or the finding that it gave none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saetui.cli.checks.finding import Finding, problem
from saetui.cli.task import run_task
from saetui.client.task import TookTooLong
from saetui.errors import SaetuiError


def answer(subject: str, module: str, request: Mapping[str, object], seconds: float, if_it_hangs: str) -> Any | Finding:
    """The result of a task, or a problem with what the task was doing when its time was over.

    Args:
        subject: of that problem.
        module, request, seconds: of the task, see `saetui.client.task.Task`.
        if_it_hangs: what to do when the time was over.
    """
    said: list[str] = []
    try:
        return run_task(module, request, said.append, seconds=seconds)
    except TookTooLong:
        doing = said[-1] if said else "starting Python"
        return problem(subject, f"It took more than {seconds:g} s, and was ended while {doing}.", if_it_hangs)
    except SaetuiError as error:
        return problem(subject, error.message, error.suggestion)
