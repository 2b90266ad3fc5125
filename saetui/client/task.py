"""Short tasks that need torch run in a process of their own: clients stay light and survive their crashes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import IO, Any

from saetui.child_processes import tied_to, torch_environment
from saetui.errors import SaetuiError, TrainingError
from saetui.protocol.tasks import PROGRESS, decode_answer
from saetui.torch_import import import_failed, import_torch
from saetui.torch_packages import installed, why_unusable

_END_SECONDS = 2.0
"""How long a killed process may take to end. One that waits for a driver does not end at all."""


class TookTooLong(TrainingError):
    """A task gave no answer within its time."""


class Cancelled(SaetuiError):
    """A task that its user has cancelled."""


_LAST_LINES = 3
_TASKS = "saetui.training.tasks."
_WITHOUT_TORCH = (f"{_TASKS}download", f"{_TASKS}machine")


class Task:
    """One run of `python -m MODULE` on a request. The process ends with this one."""

    def __init__(
        self,
        module: str,
        request: Mapping[str, object],
        progress: Callable[[str], None],
        *,
        seconds: float | None = None,
    ) -> None:
        """
        Args:
            module: answers as saetui/protocol/tasks.py says.
            request: JSON values.
            progress: takes each line of progress.
            seconds: how long the task may take; None: for ever.
        """
        self._seconds = seconds
        self._module = module
        self._request = request
        self._progress = progress
        self._process: subprocess.Popen[str] | None = None
        self._cancelled = False

    def run(self) -> Any:
        """Wait for the result.

        Raises:
            TookTooLong: it took longer than `seconds`. Its process is killed.
            TorchError: torch, or what the task needs beside it, is missing, does not fit or does not load.
            Cancelled: `cancel` was called.
            SaetuiError: the task failed, or its process ended without an answer.
        """
        if _needs_torch(self._module):
            unusable = why_unusable(installed())
            if unusable is not None:
                raise unusable
        with _sigterm_as_exception():
            return self._run()

    def cancel(self) -> None:
        """End the process at once, from any thread; what it was writing is left unfinished."""
        self._cancelled = True
        if self._process is not None:
            self._process.kill()

    def _run(self) -> Any:
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            env=torch_environment(os.environ),
            preexec_fn=tied_to(os.getpid()),
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        if self._cancelled:
            process.kill()
        last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        listener = threading.Thread(target=_listen, args=(process.stderr, self._progress, last_lines), daemon=True)
        listener.start()
        try:
            # A process that ended before it read its request is reported by its answer or its status.
            with contextlib.suppress(BrokenPipeError):
                json.dump(self._request, process.stdin)
                process.stdin.close()
            answer, status = _answer_within(process, process.stdout, self._seconds)
        except BaseException:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            raise
        listener.join()
        if self._cancelled:
            raise Cancelled("It was cancelled.")
        try:
            return decode_answer(answer)
        except ValueError:
            imported = import_torch() if status and _needs_torch(self._module) else None
            if imported is not None and imported.error is not None:
                raise import_failed(imported.error) from None
            raise _crashed(status, last_lines) from None


def _needs_torch(module: str) -> bool:
    return module.startswith(_TASKS) and module not in _WITHOUT_TORCH


def _answer_within(process: subprocess.Popen[str], stream: IO[str], seconds: float | None) -> tuple[str, int]:
    """What the process has written when it has ended, and its status.

    Raises:
        TookTooLong: it has not ended in time. Neither reading nor waiting is bounded by itself, so a thread reads.
    """
    begun = time.monotonic()
    parts: list[str] = []
    reader = threading.Thread(target=lambda: parts.append(stream.read()), daemon=True)
    reader.start()
    reader.join(seconds)
    left = None if seconds is None else max(0.0, begun + seconds - time.monotonic())
    try:
        if reader.is_alive():
            raise subprocess.TimeoutExpired(process.args, seconds or 0.0)
        return "".join(parts), process.wait(left)
    except subprocess.TimeoutExpired:
        raise TookTooLong(
            f"The process that did the work gave no answer in {seconds:g} s.",
            "Try again when the machine is less busy.",
        ) from None


@contextlib.contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that the task's process is ended before this one."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set what a signal does
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _crashed(status: int, last_lines: deque[str]) -> SaetuiError:
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    last = f" Its last words: {' / '.join(last_lines)}" if last_lines else ""
    way_out = "It ran out of memory, or was killed: try fewer tokens." if status == -9 else None
    return TrainingError(f"The process that did the work {how} and gave no answer.{last}", way_out)


def _listen(stream: IO[str], progress: Callable[[str], None], last_lines: deque[str]) -> None:
    for line in stream:
        if line.startswith(PROGRESS):
            progress(line.removeprefix(PROGRESS).rstrip("\n"))
        elif line.strip():
            last_lines.append(line.strip())
