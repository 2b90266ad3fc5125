"""Short work that needs torch, done in a process of its own for a client that must not load it.

A request comes as JSON on standard input; one JSON document goes to standard output: `{"result": …}`, or
`{"error": {"kind", "message", "suggestion"}}` with exit status 1. Progress goes to standard error, a line a step, each
beginning with `PROGRESS`; anything else there is a library's own noise.
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

PROGRESS = "progress: "
LOG = "task.log"
"""In the home: the traceback of the last task that failed for a reason of its own."""

Task = Callable[[dict[str, Any]], object]


def serve_task(task: Task) -> int:
    """Answer the request on standard input; the exit status."""
    answer = os.dup(sys.stdout.fileno())
    # What libraries print must not end up in the document.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        document: dict[str, object] = {"result": task(json.load(sys.stdin))}
    except SaetuiError as error:
        document = {"error": {"kind": error.kind, "message": error.message, "suggestion": error.suggestion}}
    except Exception as error:
        # The last line of defence: whatever happened, the client gets an answer.
        document = {"error": _fault(error)}
    with open(answer, "w") as out:
        json.dump(document, out)
    return 1 if "error" in document else 0


def _fault(error: Exception) -> dict[str, str]:
    log = find_home().root / LOG
    suggestion = "This is a fault of saetui."
    try:
        with open_private(log) as out:
            out.write(traceback.format_exc().encode(errors="backslashreplace"))
        suggestion = f"This is a fault of saetui; {log} has the traceback."
    except OSError:
        pass  # without a place for it the answer is still given
    return {"kind": "internal", "message": f"{type(error).__name__}: {error}", "suggestion": suggestion}


def report(message: str) -> None:
    """Tell the client what is going on."""
    print(PROGRESS + " ".join(message.split()), file=sys.stderr, flush=True)
