"""All layouts in one place: what a directory is, and how an SAE is written in the layout of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from saetui.errors import FormatError
from saetui.sae.dictionary_layout import WEIGHTS_PICKLE, export_dictionary_learning
from saetui.sae.directories import CONFIG_FILE, WEIGHTS_FILE
from saetui.sae.loading import LoadedSAE, load_saelens
from saetui.sae.rendering import render_saelens
from saetui.sae.sparsify_layout import SPARSIFY_WEIGHTS, export_sparsify, load_sparsify

LAYOUTS: Mapping[str, Callable[[Path, LoadedSAE], None]] = {
    "dictionary_learning": export_dictionary_learning,
    "sparsify": export_sparsify,
}
"""Layouts that a result directory is converted to; `saelens` is what it is in already."""

FILES: Mapping[str, tuple[str, ...]] = {
    "saelens": (CONFIG_FILE, WEIGHTS_FILE),
    "saetui": (CONFIG_FILE, WEIGHTS_FILE),
    "sparsify": (CONFIG_FILE, SPARSIFY_WEIGHTS),
}
"""The files of each layout that can be read."""


def load_sae(directory: Path) -> LoadedSAE:
    """The SAE in a directory, in whichever layout: SAELens's, saetui's own, or sparsify's.

    Raises:
        FormatError: there is no SAE in it that can be read, with the reason.
    """
    if not directory.is_dir():
        raise FormatError(
            f"{directory} is not a directory.",
            f"An SAE in SAELens's layout is a directory with {CONFIG_FILE} and {WEIGHTS_FILE}.",
        )
    if (directory / WEIGHTS_FILE).exists():
        return load_saelens(directory)
    if (directory / SPARSIFY_WEIGHTS).exists():
        return load_sparsify(directory)
    pickles = sorted(entry.name for entry in directory.iterdir() if entry.suffix in (".pt", ".pth", ".pkl", ".bin"))
    if pickles:
        whose = "dictionary_learning's" if WEIGHTS_PICKLE in pickles else "these"
        raise FormatError(
            f"{directory} has its weights in {pickles[0]}, a pickle, which can run code when it is loaded; {whose} are not read.",
            "Load it with the tool that made it, and save it as safetensors in SAELens's layout.",
        )
    return load_saelens(directory)


def require_saelens(loaded: LoadedSAE) -> None:
    """Sees that a result is one that SAELens loads.

    Raises:
        InvalidInput: SAELens has no architecture that computes the same; with the reason.
    """
    if loaded.layout == "saetui":
        render_saelens(loaded.sae, loaded.normalization, loaded.target)
