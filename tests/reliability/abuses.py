"""What a client may send that no client should."""

from __future__ import annotations

import random

from saetui.protocol.framing import TO_SUPERVISOR_LIMIT, encode, frame
from saetui.protocol.messages import GetJobs, Hello, Subscribe

HELLO = encode(Hello(client="abuse"), TO_SUPERVISOR_LIMIT)
ABUSES = {
    "silent": b"",
    "half a length": b"\0\0",
    "half a frame": HELLO[:-3],
    "the largest length": b"\xff\xff\xff\xff" + b"x" * 1000,
    "deep nesting": frame(b'{"type":"submit","spec":' + b"[" * 500_000, TO_SUPERVISOR_LIMIT),
    "a request without a greeting": encode(GetJobs(id=1), 1000),
    "a stopped reader": HELLO + encode(Subscribe(id=1), 1000) + encode(GetJobs(id=2), 1000) * 20,
    "half a request": HELLO + encode(GetJobs(id=1), 1000)[:-2],
    "rubbish": random.Random(0).randbytes(3000),
    "most of the largest frame": HELLO + TO_SUPERVISOR_LIMIT.to_bytes(4, "big") + bytes(TO_SUPERVISOR_LIMIT - 1),
    "a large spec and then silence": HELLO
    + frame(b'{"type":"submit","id":1,"spec":{"model":"' + b"x" * 1_000_000 + b'"}}', TO_SUPERVISOR_LIMIT),
    "a large import of nothing": HELLO
    + frame(b'{"type":"import_templates","id":1,"text":"' + b"[{}," * 200_000 + b'"}', TO_SUPERVISOR_LIMIT),
}
