"""Errors for directories that hold no readable SAE: what they hold, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from saetui.errors import FormatError

_PICKLES = (".pt", ".pth", ".pkl", ".bin")
_DEPTH = 4
"""So many levels of folders are searched for SAEs: a repository of Gemma Scope has layer, width and L0."""
_MOST = 2000
"""So many folders are searched at most."""
BY_SAELENS = (
    "Load it with the tool that made it, or by its release name with SAELens (SAE.from_pretrained), save it there with "
    "save_model, and give that directory."
)


def not_a_directory(path: Path) -> FormatError:
    """The error for a path that is no directory."""
    if path.is_file():
        return FormatError(
            f"{path} is a file; an SAE is a directory.", f"Give the directory that holds it: {path.parent}."
        )
    return FormatError(
        f"{path} is not a directory.",
        "Give the directory of an SAE. saetui does not download SAEs from the Hub: fetch the folder where there is a "
        "network (hf download REPOSITORY --include 'FOLDER/*' --local-dir DIR), and give that folder.",
    )


def unread(directory: Path, holds_sae: Callable[[Path], bool], known: Sequence[str]) -> FormatError:
    """The error for a directory that is in no readable layout.

    Args:
        directory: exists.
        holds_sae: whether a directory is in a readable layout.
        known: those layouts, in words.
    """
    names = sorted(entry.name for entry in directory.iterdir())
    for found in (_pickles, _circuit_tracer, _language_model_saes, _language_model):
        answer = found(directory, names)
        if answer is not None:
            return FormatError(*answer)
    below = _below(directory, holds_sae)
    if below:
        shown = ", ".join(str(path.relative_to(directory)) for path in below[:3])
        more = f" and {len(below) - 3} more" if len(below) > 3 else ""
        return FormatError(
            f"{directory} is not one SAE but holds several: {shown}{more}.", f"Give one of them, as {below[0]}."
        )
    held = f"holds {', '.join(names[:4])}{' …' if len(names) > 4 else ''}" if names else "is empty"
    return FormatError(f"{directory} {held}: no SAE that saetui knows.", f"These can be read: {'; '.join(known)}.")


Answer = tuple[str, str]


def _pickles(directory: Path, names: Sequence[str]) -> Answer | None:
    found = [name for name in names if name.endswith(_PICKLES)]
    if not found:
        return None
    whose = "dictionary_learning's" if "ae.pt" in found else "these"
    return (
        f"{directory} has its weights in {found[0]}, a pickle, which can run code when it is loaded; {whose} are not read.",
        "Load it with the tool that made it, and save it as safetensors in SAELens's layout.",
    )


def _circuit_tracer(directory: Path, names: Sequence[str]) -> Answer | None:
    layers = [name for name in names if name.startswith("layer_") and name.endswith(".safetensors")]
    if not layers or not any(name.endswith((".yaml", ".yml")) for name in names):
        return None
    return (
        f"{directory} holds transcoders in circuit-tracer's layout ({layers[0]} and a configuration in YAML), which is not "
        "read.",
        BY_SAELENS,
    )


def _language_model_saes(directory: Path, names: Sequence[str]) -> Answer | None:
    if "config.json" not in names or "sae_weights.safetensors" not in names or "cfg.json" in names:
        return None
    return (f"{directory} is in the later layout of Language-Model-SAEs (config.json), which is not read.", BY_SAELENS)


def _language_model(directory: Path, names: Sequence[str]) -> Answer | None:
    weights = [name for name in names if name.startswith("model") and name.endswith(".safetensors")]
    if "config.json" not in names or not weights:
        return None
    return (f"{directory} is a language model ({weights[0]}), not an SAE.", "Give the directory of an SAE.")


def _below(directory: Path, holds_sae: Callable[[Path], bool]) -> list[Path]:
    """The directories below one that hold an SAE, in order. Links, and what is inside an SAE's directory, are left out."""
    found: list[Path] = []
    level, seen = [directory], 0
    for _ in range(_DEPTH):
        below: list[Path] = []
        for place in level:
            for entry in _folders(place):
                seen += 1
                if seen > _MOST:
                    return sorted(found)
                (found if holds_sae(entry) else below).append(entry)
        level = below
    return sorted(found)


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return []  # a folder that may not be opened holds no readable SAE either
