"""What the Hub's library has downloaded to this machine, found without that library."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from saetui.formats.paths import why_no_path
from saetui.formats.regular import read_regular
from saetui.sources.text_files import COMPRESSIONS, ENDINGS

Kind = Literal["models", "datasets"]

_FILES = (*ENDINGS, *COMPRESSIONS, ".safetensors")
ID_LETTERS = 200
"""The most letters of an id. The Hub itself allows 96."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def is_hub_id(reference: str) -> bool:
    """Whether this could be an id on the Hub: `owner/name` or `name`, without the ending of a file."""
    return (
        len(reference) <= ID_LETTERS
        and _HUB_ID.fullmatch(reference) is not None
        and not reference.lower().endswith(_FILES)
    )


def find_snapshot(kind: Kind, reference: str, revision: str | None = None) -> Path | None:
    """The directory of a downloaded repository, or None. Without a revision it is `main`."""
    if not is_hub_id(reference) or why_no_path(revision or "") is not None:
        return None
    repository = cache_directory() / f"{kind}--{reference.replace('/', '--')}"
    commit = revision or "main"
    pointer = repository / "refs" / commit
    if pointer.is_file():
        commit = read_regular(pointer, 1 << 10).decode(errors="replace").strip()
    snapshot = repository / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def list_references(kind: Kind) -> list[str]:
    """The ids of all downloaded repositories of a kind, complete or not."""
    cache = cache_directory()
    found = sorted(cache.glob(f"{kind}--*")) if cache.is_dir() else []
    return [entry.name.removeprefix(f"{kind}--").replace("--", "/") for entry in found]


def cache_directory() -> Path:
    """Where the library keeps what it downloads; it need not exist."""
    # The second is the library's older name.
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if variable in os.environ:
            return Path(os.environ[variable]).expanduser()
    return _library_home() / "hub"


def token_file() -> Path:
    """Where the library keeps the user's token; it need not exist."""
    named = os.environ.get("HF_TOKEN_PATH")
    return Path(named).expanduser() if named else _library_home() / "token"


def _library_home() -> Path:
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface")
    return Path(home).expanduser()
