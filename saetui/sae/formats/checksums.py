"""Checksums, by which a reader notices that an exported SAE was damaged: a flipped bit in a weight shows nowhere else.

They are sha256 digests in cfg.json's metadata, which every other reader ignores. A directory of an older saetui or of another
tool has none, and is read without a check.
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
    """The checksums of a configuration (less the checksums in it) and of the file of weights."""
    return {"config": _of_config(config), "weights": hashlib.sha256(weights).hexdigest()}


def require_unchanged(directory: Path, config: Mapping[str, Any], weights: Path) -> None:
    """Require that both files are as they were written, where the checksums are known.

    Raises:
        FormatError: one of them has changed, or they do not belong together.
    """
    known = _known(config)
    if known is None and not _has_other_name(config):
        return
    if known is None or known.get("config") != _of_config(config):
        raise FormatError(
            f"{directory}: its configuration has changed since it was written.",
            f'{_AGAIN} If you changed it on purpose, remove "{CHECKSUMS}" from its metadata.',
        )
    try:
        found = _of_file(weights)
    except OSError as error:
        raise FormatError(f"{weights} cannot be read: {error.strerror}.", _AGAIN) from error
    if known.get("weights") != found:
        raise FormatError(f"{weights} is damaged: it has changed since it was written.", _AGAIN)


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _known(config: Mapping[str, Any]) -> dict[str, str] | None:
    own = config.get("metadata", {}).get("saetui") if isinstance(config.get("metadata"), dict) else None
    known = own.get(CHECKSUMS) if isinstance(own, dict) else None
    return known if isinstance(known, dict) else None


def _has_other_name(values: object) -> bool:
    """Whether the checksums are there under another name: a letter of the key was damaged."""
    if not isinstance(values, dict):
        return False
    digests = [value for value in values.values() if isinstance(value, str) and len(value) == 64]
    return len(digests) >= 2 or any(_has_other_name(value) for value in values.values())


def _of_config(config: Mapping[str, Any]) -> str:
    """Of the content of the JSON, not of its spacing."""
    plain = json.loads(json.dumps(config))
    own = plain.get("metadata", {}).get("saetui")
    if isinstance(own, dict):
        own.pop(CHECKSUMS, None)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
