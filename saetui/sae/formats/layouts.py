"""All layouts in one place: what a directory is, and how an SAE is written in the layout of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from saetui.sae.formats.conventions import SCALER_FILE
from saetui.sae.formats.dictionary_learning import export_dictionary_learning
from saetui.sae.formats.directories import CONFIG_FILE, WEIGHTS_FILE
from saetui.sae.formats.gemma_scope import GEMMA_SCOPE_WEIGHTS, load_gemma_scope
from saetui.sae.formats.gemma_scope_2 import GEMMA_SCOPE_2_CONFIG, GEMMA_SCOPE_2_WEIGHTS, load_gemma_scope_2
from saetui.sae.formats.llama_scope import LLAMA_SCOPE_CONFIG, LLAMA_SCOPE_WEIGHTS, load_llama_scope
from saetui.sae.formats.loading import LoadedSAE, load_saelens
from saetui.sae.formats.rendering import render_saelens
from saetui.sae.formats.sparsify import SPARSIFY_WEIGHTS, export_sparsify, load_sparsify
from saetui.sae.formats.unread import not_a_directory, unread

LAYOUTS: Mapping[str, Callable[[Path, LoadedSAE], None]] = {
    "dictionary_learning": export_dictionary_learning,
    "sparsify": export_sparsify,
}
"""Layouts that a result directory is converted to; `saelens` is what it is in already."""


@dataclass(frozen=True)
class Readable:
    """A layout that can be read.

    Attributes:
        words: what it is, for messages.
        marks: the files by which a directory is known to be in it; all of them are there.
        load: reads it.
        files: all that it consists of.
    """

    words: str
    marks: tuple[str, ...]
    load: Callable[[Path], LoadedSAE]
    files: tuple[str, ...]


READABLE: tuple[Readable, ...] = (
    Readable(
        "SAELens's and saetui's own (cfg.json, sae_weights.safetensors)",
        (CONFIG_FILE, WEIGHTS_FILE),
        load_saelens,
        (CONFIG_FILE, WEIGHTS_FILE, SCALER_FILE),
    ),
    Readable(
        "sparsify's (cfg.json, sae.safetensors)", (SPARSIFY_WEIGHTS,), load_sparsify, (CONFIG_FILE, SPARSIFY_WEIGHTS)
    ),
    Readable("Gemma Scope's (params.npz)", (GEMMA_SCOPE_WEIGHTS,), load_gemma_scope, (GEMMA_SCOPE_WEIGHTS,)),
    Readable(
        "Gemma Scope 2's (config.json, params.safetensors)",
        (GEMMA_SCOPE_2_WEIGHTS,),
        load_gemma_scope_2,
        (GEMMA_SCOPE_2_CONFIG, GEMMA_SCOPE_2_WEIGHTS),
    ),
    Readable(
        "Llama Scope's (hyperparams.json, checkpoints/final.safetensors)",
        (LLAMA_SCOPE_CONFIG,),
        load_llama_scope,
        (LLAMA_SCOPE_CONFIG, LLAMA_SCOPE_WEIGHTS),
    ),
)
"""Every layout that can be read, a line each: a new one is a module that loads it, and a line here."""


def layout_of(directory: Path) -> Readable | None:
    """The layout that a directory is in; None where it is in none that can be read."""
    return next((layout for layout in READABLE if all((directory / mark).exists() for mark in layout.marks)), None)


def load_sae(directory: Path) -> LoadedSAE:
    """The SAE in a directory, in whichever layout.

    Raises:
        FormatError: there is no SAE in it that can be read, with the reason.
    """
    if not directory.is_dir():
        raise not_a_directory(directory)
    layout = layout_of(directory)
    if layout is not None:
        return layout.load(directory)
    if (directory / CONFIG_FILE).exists():
        return load_saelens(directory)  # which says what of it is missing
    raise unread(directory, lambda place: layout_of(place) is not None, [layout.words for layout in READABLE])


def require_saelens(loaded: LoadedSAE) -> None:
    """Sees that a result is one that SAELens loads.

    Raises:
        InvalidInput: SAELens has no architecture that computes the same; with the reason.
    """
    if loaded.layout == "saetui":
        render_saelens(loaded.sae, loaded.normalization, loaded.target)
