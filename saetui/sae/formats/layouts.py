"""All layouts of SAE directories: recognising one, reading an SAE from it, and converting a result to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from saetui.sae.formats.conventions import SCALER_FILE
from saetui.sae.formats.dictionary_learning import export_dictionary_learning
from saetui.sae.formats.files import CONFIG_FILE, WEIGHTS_FILE
from saetui.sae.formats.gemma_scope import (
    GEMMA_SCOPE_2_CONFIG,
    GEMMA_SCOPE_2_WEIGHTS,
    GEMMA_SCOPE_WEIGHTS,
    load_gemma_scope,
    load_gemma_scope_2,
)
from saetui.sae.formats.llama_scope import LLAMA_SCOPE_CONFIG, LLAMA_SCOPE_WEIGHTS, load_llama_scope
from saetui.sae.formats.loading import LoadedSAE, load_saelens
from saetui.sae.formats.rendering import render_saelens
from saetui.sae.formats.sparsify import SPARSIFY_WEIGHTS, export_sparsify, load_sparsify
from saetui.sae.formats.unread import not_a_directory, unread

LAYOUTS: Mapping[str, Callable[[Path, LoadedSAE], None]] = {
    "dictionary_learning": export_dictionary_learning,
    "sparsify": export_sparsify,
}
"""Layouts that a result directory can be converted to; `saelens` is its own layout."""


@dataclass(frozen=True)
class Readable:
    """A layout that can be read.

    Attributes:
        words: its name and files, for messages.
        marks: a directory that has all of these files is in this layout.
        load: reads an SAE.
        files: all files of the layout.
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
"""Every layout that can be read. To add one, write a module that loads it, and one entry here."""


def layout_of(directory: Path) -> Readable | None:
    """The layout that a directory is in; None where it is in none that can be read."""
    return next((layout for layout in READABLE if all((directory / mark).exists() for mark in layout.marks)), None)


def load_sae(directory: Path) -> LoadedSAE:
    """The SAE in a directory, in whichever layout.

    Raises:
        FormatError: the directory holds no SAE that can be read; the message says why.
    """
    if not directory.is_dir():
        raise not_a_directory(directory)
    layout = layout_of(directory)
    if layout is not None:
        return layout.load(directory)
    if (directory / CONFIG_FILE).exists():
        return load_saelens(directory)  # its error names the missing file
    raise unread(directory, lambda place: layout_of(place) is not None, [layout.words for layout in READABLE])


def require_saelens(loaded: LoadedSAE) -> None:
    """Require that SAELens can load a result.

    Raises:
        InvalidInput: SAELens has no architecture that computes the same; the message says why.
    """
    if loaded.layout == "saetui":
        render_saelens(loaded.sae, loaded.normalization, loaded.target)
