"""The frame of a torch task: work that a client wants done and must not load torch for, in a process of its own.

The request and the answer are one JSON document each, as saetui/protocol/tasks.py says.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from saetui.errors import SaetuiError
from saetui.formats.durable import open_private
from saetui.home import find_home
from saetui.protocol.tasks import PROGRESS, encode_error, encode_result

LOG = "task.log"
"""In the home: the traceback of the last task that failed by a fault of saetui."""

Task = Callable[[dict[str, Any]], object]


class Fault(SaetuiError):
    """A fault of saetui itself."""

    kind = "internal"


def serve_task(task: Task) -> int:
    """Answer the request on standard input; the exit status."""
    answer = os.dup(sys.stdout.fileno())
    # What libraries print must not end up in the document.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        document, status = encode_result(task(json.load(sys.stdin))), 0
    except SaetuiError as error:
        document, status = encode_error(error), 1
    except Exception as error:
        # The last line of defence: whatever happened, the client gets an answer.
        document, status = encode_error(_fault(error)), 1
    with open(answer, "w") as out:
        out.write(document)
    return status


def report(message: str) -> None:
    """Send the client a line on the progress."""
    print(PROGRESS + " ".join(message.split()), file=sys.stderr, flush=True)


def _fault(error: Exception) -> Fault:
    """Write the traceback to the log, and say where it is."""
    log = find_home().root / LOG
    suggestion = "This is a fault of saetui."
    try:
        with open_private(log) as out:
            out.write(traceback.format_exc().encode(errors="backslashreplace"))
        suggestion = f"This is a fault of saetui; {log} has the traceback."
    except OSError:
        pass  # the answer is given even if the traceback cannot be written
    return Fault(f"{type(error).__name__}: {error}", suggestion)
