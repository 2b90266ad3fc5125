"""How a client and a torch process talk about a short task: `python -m saetui.training.tasks.NAME`.

The client writes the request, a JSON document, to the process's standard input. The process writes one JSON document to
its standard output: `{"result": …}`, or `{"error": {"kind", "message", "suggestion"}}` with exit status 1. It writes its
progress to standard error, one line for each step, each beginning with `PROGRESS`; everything else there comes from libraries.
"""

from __future__ import annotations

import json
from typing import Any

from saetui.errors import SaetuiError
from saetui.protocol.framing import error_of
from saetui.protocol.messages import Failure

PROGRESS = "progress: "


def encode_result(result: object) -> str:
    """The answer of a task that succeeded; `result` is made of JSON values."""
    return json.dumps({"result": result})


def encode_error(error: SaetuiError) -> str:
    """The answer of a task that failed."""
    return json.dumps({"error": {"kind": error.kind, "message": error.message, "suggestion": error.suggestion}})


def decode_answer(text: str) -> Any:
    """The result in an answer.

    Raises:
        SaetuiError: the task failed; the error is of the class that the answer names.
        ValueError: the text is no answer.
    """
    document = json.loads(text)
    if isinstance(document, dict) and "error" in document:
        raise error_of(Failure(**document["error"]))
    if not isinstance(document, dict) or "result" not in document:
        raise ValueError("neither a result nor an error")
    return document["result"]
