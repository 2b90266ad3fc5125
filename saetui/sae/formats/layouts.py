"""All layouts of SAE directories: recognising one, reading an SAE from it, and converting a result to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from saetui.errors import FormatError
from saetui.sae.formats import gemma_scope
from saetui.sae.formats.conventions import SCALER_FILE
from saetui.sae.formats.dictionary_learning import export_dictionary_learning
from saetui.sae.formats.files import CONFIG_FILE, WEIGHTS_FILE
from saetui.sae.formats.llama_scope import LLAMA_SCOPE_CONFIG, LLAMA_SCOPE_WEIGHTS, load_llama_scope
from saetui.sae.formats.loading import LoadedSAE, load_saelens
from saetui.sae.formats.rendering import render_saelens
from saetui.sae.formats.sparsify import SPARSIFY_WEIGHTS, export_sparsify, load_sparsify

LAYOUTS: Mapping[str, Callable[[Path, LoadedSAE], None]] = {
    "dictionary_learning": export_dictionary_learning,
    "sparsify": export_sparsify,
}
"""Layouts that a result directory can be converted to; `saelens` is its own layout."""
_PICKLES = (".pt", ".pth", ".pkl", ".bin")
_DEPTH = 4
"""So many levels of folders are searched for SAEs: a repository of Gemma Scope has layer, width and L0."""
_MOST_FOLDERS = 2000
"""So many folders are searched at most."""
_BY_SAELENS = (
    "Load it with the tool that made it, or by its release name with SAELens (SAE.from_pretrained), save it there with "
    "save_model, and give that directory."
)


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
    Readable(
        "Gemma Scope's (params.npz)",
        (gemma_scope.GEMMA_SCOPE_WEIGHTS,),
        gemma_scope.load_gemma_scope,
        (gemma_scope.GEMMA_SCOPE_WEIGHTS,),
    ),
    Readable(
        "Gemma Scope 2's (config.json, params.safetensors)",
        (gemma_scope.GEMMA_SCOPE_2_WEIGHTS,),
        gemma_scope.load_gemma_scope_2,
        (gemma_scope.GEMMA_SCOPE_2_CONFIG, gemma_scope.GEMMA_SCOPE_2_WEIGHTS),
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
        FormatError: the directory holds no SAE that can be read; the message says what it holds instead.
    """
    if not directory.is_dir():
        raise _not_a_directory(directory)
    layout = layout_of(directory)
    if layout is not None:
        return layout.load(directory)
    if (directory / CONFIG_FILE).exists():
        return load_saelens(directory)  # its error names the missing file
    raise _unreadable(directory)


def require_saelens(loaded: LoadedSAE) -> None:
    """Require that SAELens can load a result.

    Raises:
        InvalidInput: SAELens has no architecture that computes the same; the message says why.
    """
    if loaded.layout == "saetui":
        render_saelens(loaded.sae, loaded.normalization, loaded.target)


def _not_a_directory(path: Path) -> FormatError:
    if path.is_file():
        return FormatError(
            f"{path} is a file; an SAE is a directory.", f"Give the directory that holds it: {path.parent}."
        )
    return FormatError(
        f"{path} is not a directory.",
        "Give the directory of an SAE. saetui does not download SAEs from the Hub: fetch the folder where there is a "
        "network (hf download REPOSITORY --include 'FOLDER/*' --local-dir DIR), and give that folder.",
    )


def _unreadable(directory: Path) -> FormatError:
    names = sorted(entry.name for entry in directory.iterdir())
    if recognised := _recognised(names):
        what, way_out = recognised
        return FormatError(f"{directory} {what}", way_out)
    below = _saes_below(directory)
    if below:
        shown = ", ".join(str(path.relative_to(directory)) for path in below[:3])
        more = f" and {len(below) - 3} more" if len(below) > 3 else ""
        return FormatError(
            f"{directory} is not one SAE but holds several: {shown}{more}.", f"Give one of them, as {below[0]}."
        )
    held = f"holds {', '.join(names[:4])}{' …' if len(names) > 4 else ''}" if names else "is empty"
    known = "; ".join(layout.words for layout in READABLE)
    return FormatError(f"{directory} {held}: no SAE that saetui knows.", f"These can be read: {known}.")


def _recognised(names: Sequence[str]) -> tuple[str, str] | None:
    """What a directory with these files is, where it is of a known kind that is not read, and the way out."""
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        whose = "dictionary_learning's" if "ae.pt" in pickles else "these"
        return (
            f"has its weights in {pickles[0]}, a pickle, which can run code when it is loaded; {whose} are not read.",
            "Load it with the tool that made it, and save it as safetensors in SAELens's layout.",
        )
    layers = [name for name in names if name.startswith("layer_") and name.endswith(".safetensors")]
    if layers and any(name.endswith((".yaml", ".yml")) for name in names):
        what = f"holds transcoders in circuit-tracer's layout ({layers[0]} and a configuration in YAML), which is not read."
        return what, _BY_SAELENS
    if "config.json" in names and "sae_weights.safetensors" in names and "cfg.json" not in names:
        return "is in the later layout of Language-Model-SAEs (config.json), which is not read.", _BY_SAELENS
    weights = [name for name in names if name.startswith("model") and name.endswith(".safetensors")]
    if "config.json" in names and weights:
        return f"is a language model ({weights[0]}), not an SAE.", "Give the directory of an SAE."
    return None


def _saes_below(directory: Path) -> list[Path]:
    """The directories below one that hold an SAE, in order. Links, and what is inside an SAE's directory, are left out."""
    found: list[Path] = []
    level, seen = [directory], 0
    for _ in range(_DEPTH):
        below: list[Path] = []
        for place in level:
            for entry in _folders(place):
                seen += 1
                if seen > _MOST_FOLDERS:
                    return sorted(found)
                (below if layout_of(entry) is None else found).append(entry)
        level = below
    return sorted(found)


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return []  # a folder that may not be opened holds no readable SAE either
