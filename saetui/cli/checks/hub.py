"""What was downloaded from the Hugging Face Hub, whether more can be, and whether there is a token. The token is never shown."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from saetui.cli.checks.finding import Finding, good, warning
from saetui.cli.checks.machine import LITTLE_SPACE
from saetui.display.figures import size
from saetui.sources.hub_cache import cache_directory, list_references, token_file

_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_YES = ("1", "ON", "YES", "TRUE")


def check_hub() -> Iterator[Finding]:
    """The cache of the Hub's library, and the token. The Hub itself is not asked."""
    cache = cache_directory()
    # Where it does not exist yet, it is made in the nearest directory that does.
    place = next((path for path in (cache, *cache.parents) if os.access(path, os.F_OK)), Path("/"))
    way_out = "set HF_HOME to another one: export HF_HOME=…"
    try:
        counted = f"models: {len(list_references('models'))}, datasets: {len(list_references('datasets'))}, in {cache}"
        free = shutil.disk_usage(place).free
    except OSError as error:
        yield warning("hub", f"{cache} cannot be read: {error.strerror or error}.",
                      f"Give this user the right to read it, or {way_out}")  # fmt: skip
        yield from _token()
        return
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        yield warning("hub", f"Models cannot be downloaded to {cache}: {place} cannot be written.",
                      f"Give this user the right to write there, or {way_out}")  # fmt: skip
    elif free < LITTLE_SPACE:
        yield warning("hub", f"{counted}: only {size(free)} free for more.", f"Free some of this disk, or {way_out}")
    elif os.environ.get("HF_HUB_OFFLINE", "").upper() in _YES:
        yield good("hub", f"{counted}; HF_HUB_OFFLINE forbids downloads")
    else:
        yield good("hub", counted)
    yield from _token()


def _token() -> Iterator[Finding]:
    variable = next((name for name in _TOKENS if os.environ.get(name, "").strip()), None)
    file = token_file()
    if variable is not None:
        yield good("token", f"in {variable}")
        return
    try:
        found = file.stat()
    except OSError:
        yield good("token", "none: gated models (Llama, Gemma) need one, from: hf auth login")
        return
    if found.st_mode & 0o077:
        yield warning(
            "token", f"{file} can be read by others (mode {stat.S_IMODE(found.st_mode):o}).", f"chmod 600 {file}"
        )
    elif not found.st_size:
        yield good("token", f"none: {file} is empty")
    else:
        yield good("token", f"in {file}")
