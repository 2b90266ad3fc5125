"""A digest over the fields of a manifest: one flipped bit in it shows as one in the data does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def fields_digest(fields: Mapping[str, object]) -> str:
    """Of JSON values under their names, in whatever order and layout they are written: BLAKE2b, 16 bytes."""
    return hashlib.blake2b(json.dumps(fields, sort_keys=True).encode(), digest_size=16).hexdigest()
