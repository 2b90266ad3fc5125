"""Work that needs torch, asked of a process of its own: the command line stays light, and a crash is told, not shared."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import IO, Any

from saetui.child_processes import tied_to, torch_environment
from saetui.cli.output import say
from saetui.errors import SaetuiError, TrainingError
from saetui.protocol.tasks import PROGRESS, decode_answer

_LAST_WORDS = 3


def run_task(module: str, request: Mapping[str, object], progress: Callable[[str], None] = say) -> Any:
    """Run `python -m MODULE` on a request and wait for its result; it does not outlive this process.

    Args:
        module: one that answers as saetui.protocol.tasks says.
        request: JSON values.
        progress: takes a line of text now and then.

    Raises:
        SaetuiError: the process's own refusal, or that it ended without an answer.
    """
    with _ended_by_sigterm():
        return _ask(module, request, progress)


def _ask(module: str, request: Mapping[str, object], progress: Callable[[str], None]) -> Any:
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
        env=torch_environment(os.environ),
        preexec_fn=tied_to(os.getpid()),
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    words: deque[str] = deque(maxlen=_LAST_WORDS)
    listener = threading.Thread(target=_listen, args=(process.stderr, progress, words), daemon=True)
    listener.start()
    try:
        # A process that is gone before it has read its request says why in another way.
        with contextlib.suppress(BrokenPipeError):
            json.dump(request, process.stdin)
            process.stdin.close()
        answer = process.stdout.read()
        status = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    listener.join()
    return _result(answer, status, words)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM leave by an exception, so that the process that works is ended first."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _result(answer: str, status: int, words: deque[str]) -> Any:
    try:
        return decode_answer(answer)
    except ValueError:
        raise _crashed(status, words) from None


def _crashed(status: int, words: deque[str]) -> SaetuiError:
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    last = f" Its last words: {' / '.join(words)}" if words else ""
    way_out = "It ran out of memory, or was killed: try fewer tokens." if status == -9 else None
    return TrainingError(f"The process that did the work {how} and gave no answer.{last}", way_out)


def _listen(stream: IO[str], progress: Callable[[str], None], words: deque[str]) -> None:
    for line in stream:
        if line.startswith(PROGRESS):
            progress(line.removeprefix(PROGRESS).rstrip("\n"))
        elif line.strip():
            words.append(line.strip())
