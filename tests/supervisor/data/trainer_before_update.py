"""What a trainer of the saetui before the update does with the files of its job, in the standard library alone.

It knows the keys and values that were on disk then: `wish` with `run`, `pause`, `release` in control.json, sealed events.
"""

from __future__ import annotations

import binascii
import json
import os
import signal
import sys
import time


def append(kind: str, **data: object) -> None:
    event = {"time": "2026-01-01T00:00:00.000Z", "kind": kind, "message": "", "step": 0, "data": data}
    body = json.dumps(event)[:-1]
    with open("events.jsonl", "a") as file:
        file.write(f'{body},"crc":"{binascii.crc32(body.encode()):08x}"}}\n')


def wish() -> str:
    try:
        with open("control.json") as file:
            return str(json.load(file).get("wish", "run"))
    except FileNotFoundError:
        return "run"


def main() -> None:
    os.chdir(sys.argv[1])
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(signal.SIGUSR1, lambda *_: None)
    append("started", num_steps=1000)
    state = "run"
    while not asked and state != "release":
        time.sleep(0.01)
        if wish() != state:
            state = wish()
            if state != "release":
                append("paused" if state == "pause" else "resumed")
    append("ended", outcome="paused" if state == "release" else "stopped")


main()
