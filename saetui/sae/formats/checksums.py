"""What lets a reader notice that a result of ours was damaged since it was written: a flipped bit in a weight shows nowhere.

The checksums (sha256) are in cfg.json's metadata, where every other reader ignores them. A directory without them, of an
older saetui or of another tool, is read as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saetui.errors import FormatError

CHECKSUMS = "checksums"
_AGAIN = "Export it again from a checkpoint, or take another copy."


def checksums_of(config: Mapping[str, Any], weights: bytes) -> dict[str, str]:
    """The checksums of a configuration, whether it has some or not, and of its weights' file."""
    return {"config": _of_config(config), "weights": hashlib.sha256(weights).hexdigest()}


def check(directory: Path, config: Mapping[str, Any], weights: Path) -> None:
    """See that the two files are what they were when they were written, where that is known.

    Raises:
        FormatError: one of them is not, or they do not belong together.
    """
    said = _said(config)
    if said is None and not _lies_elsewhere(config):
        return
    if said is None or said.get("config") != _of_config(config):
        raise FormatError(
            f"{directory}: its configuration is not what was written.",
            f'{_AGAIN} When it was changed on purpose, remove "{CHECKSUMS}" from its metadata.',
        )
    try:
        found = _of_file(weights)
    except OSError as error:
        raise FormatError(f"{weights} cannot be read: {error.strerror}.", _AGAIN) from error
    if said.get("weights") != found:
        raise FormatError(f"{weights} is damaged: it is not what was written.", _AGAIN)


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _said(config: Mapping[str, Any]) -> dict[str, str] | None:
    own = config.get("metadata", {}).get("saetui") if isinstance(config.get("metadata"), dict) else None
    said = own.get(CHECKSUMS) if isinstance(own, dict) else None
    return said if isinstance(said, dict) else None


def _lies_elsewhere(values: object) -> bool:
    """Whether checksums stand under another name than theirs: one letter of a key was damaged."""
    if not isinstance(values, dict):
        return False
    digests = [value for value in values.values() if isinstance(value, str) and len(value) == 64]
    return len(digests) >= 2 or any(_lies_elsewhere(value) for value in values.values())


def _of_config(config: Mapping[str, Any]) -> str:
    """Of its meaning, not of its spaces."""
    plain = json.loads(json.dumps(config))
    own = plain.get("metadata", {}).get("saetui")
    if isinstance(own, dict):
        own.pop(CHECKSUMS, None)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
