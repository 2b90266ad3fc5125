"""Short work that needs torch, done in a process of its own for a client that must not load it.

A request comes as JSON on standard input; one JSON document goes to standard output: `{"result": …}`, or
`{"error": {"kind", "message", "suggestion"}}` with exit status 1. Progress goes to standard error, a line a step, each
beginning with `PROGRESS`; anything else there is a library's own noise.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from saetui.errors import SaetuiError

PROGRESS = "progress: "

Errand = Callable[[dict[str, Any]], object]


def run_errand(errand: Errand) -> int:
    """Answer the request on standard input; the exit status."""
    answer = os.dup(sys.stdout.fileno())
    # What libraries print must not end up in the document.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        document: dict[str, object] = {"result": errand(json.load(sys.stdin))}
    except SaetuiError as error:
        document = {"error": {"kind": error.kind, "message": error.message, "suggestion": error.suggestion}}
    with open(answer, "w") as out:
        json.dump(document, out)
    return 1 if "error" in document else 0


def report(message: str) -> None:
    """Tell the client what is going on."""
    print(PROGRESS + " ".join(message.split()), file=sys.stderr, flush=True)
