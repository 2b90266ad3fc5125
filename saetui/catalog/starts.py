"""SAEs from which a training can start: imported ones, or directories; found without torch."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from saetui.errors import FormatError, InvalidInput, NotFound
from saetui.formats.names import SAE_CONFIG, is_name
from saetui.formats.paths import why_no_path, why_unreachable
from saetui.formats.regular import read_regular
from saetui.home import find_home

CONFIG_LIMIT = 1 << 20


def find_starts(reference: str, sites: Sequence[str]) -> dict[str, Path]:
    """For each site, the directory of the SAE from which it starts.

    Args:
        reference: a directory, or the name of an imported SAE. It is the SAE itself, for a training of one site; or a
            directory with one SAE for each site, under the site's name, as `saetui export` makes it.
        sites: of the training.

    Raises:
        NotFound: there is no such directory, or no SAE for a site.
        InvalidInput: it is one SAE, and the training has several sites.
    """
    root = _root(reference)
    if not (root / SAE_CONFIG).is_file():
        missing = [site for site in sites if not (root / site / SAE_CONFIG).is_file()]
        if missing:
            raise NotFound(
                f"{reference} has no {SAE_CONFIG}, and no SAE for {missing[0]}.",
                "Give a directory in SAELens's layout, or one with a directory for each site.",
            )
        return {site: root / site for site in sites}
    if len(sites) != 1:
        raise InvalidInput(
            f"{reference} is one SAE, and the training has {len(sites)} sites.",
            "Choose one layer and hook point, or give a directory with an SAE for each site.",
        )
    return {sites[0]: root}


def latents_of(directory: Path) -> int | None:
    """The number of latents in an SAE's configuration; None where it has none.

    Raises:
        FormatError: the configuration cannot be read.
    """
    path = directory / SAE_CONFIG
    try:
        content = read_regular(path, CONFIG_LIMIT).removeprefix(codecs.BOM_UTF8)
        config = msgspec.json.decode(content, type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} cannot be read: {error}.", "Export or download the SAE again.") from error
    latents = config.get("d_sae") or config.get("num_latents")
    return latents if isinstance(latents, int) and not isinstance(latents, bool) else None


def _root(reference: str) -> Path:
    way_out = "Import one with `saetui import DIR`, or give a path."
    reason = why_no_path(reference)
    if reason is not None:
        raise NotFound(reason, way_out)
    path = Path(reference).expanduser()
    closed = why_unreachable(path) if path.is_absolute() else None
    if closed is not None:
        raise NotFound(closed, way_out)
    if path.is_absolute() and path.is_dir():
        return path
    imported = find_home().imported / reference
    if is_name(reference) and imported.is_dir():
        return imported
    raise NotFound(f"There is no directory and no imported SAE {reference}.", way_out)
