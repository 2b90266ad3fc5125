"""`python -m saetui.training.tasks.convert`: imports SAE directories, and converts results to other layouts.

Requests: `{"import": DIRECTORY, "into": DIRECTORY, "name": NAME}`, and `{"convert": {NAME: DIRECTORY}, "into": DIRECTORY,
"layout": LAYOUT}`, which makes a directory for each name.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from saetui.errors import Conflict, HomeError, InvalidInput, SaetuiError
from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, write_durably
from saetui.sae.formats.files import CONFIG_FILE, ORIGIN_FILE, WEIGHTS_FILE, origin_note
from saetui.sae.formats.layouts import LAYOUTS, layout_of, load_sae, require_saelens
from saetui.sae.formats.loading import LoadedSAE
from saetui.training.tasks.task import serve_task


def import_sae(source: Path, into: Path, name: str) -> dict[str, object]:
    """Copy an SAE that can be read into a new directory `into/name`; all of it, or nothing.

    The copy is checked too: the source may change at the same time. No link is copied.

    Returns:
        name, directory, layout, architecture, d_in, d_out, latents, model, hook_name.

    Raises:
        FormatError: it is no SAE that can be read.
        Conflict: the name is taken.
        HomeError: the directory cannot be written to.
    """
    load_sae(source)
    layout = layout_of(source)
    assert layout is not None, "it has just been read"
    try:
        hidden = Path(tempfile.mkdtemp(prefix=".import.", dir=into))
        try:
            for file in layout.files:
                if (source / file).is_file():
                    (hidden / file).parent.mkdir(mode=0o700, exist_ok=True)
                    write_durably(hidden / file, (source / file).read_bytes(), point="import")
            write_durably(hidden / ORIGIN_FILE, origin_note(source), point="import")
            loaded = load_sae(hidden)
            hit("copy.rename")
            try:
                os.rename(hidden, into / name)
            except OSError as error:
                raise Conflict(f"There is an imported SAE {name} already.", "Give another --name.") from error
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        fsync_directory(into, point="copy")
    except OSError as error:
        raise HomeError(
            f"{into} cannot be written to: {error.strerror}.", "Free some space there, or set SAETUI_HOME."
        ) from error
    return {"name": name, "directory": str(into / name), **_facts(loaded)}


def convert(source: Path, target: Path, layout: str) -> None:
    """Write a result directory in the layout of another tool.

    Args:
        target: the directory to make; its parent exists.
        layout: one of `LAYOUTS`; or `saelens` or `saetui`: then the result must be in that format, and is copied.

    Raises:
        InvalidInput: the layout cannot express this SAE.
        FormatError: the result is damaged.
        SaetuiError: the target cannot be written.
    """
    loaded = load_sae(source)
    try:
        if layout in LAYOUTS:
            LAYOUTS[layout](target, loaded)
            return
        if layout == "saelens":
            require_saelens(loaded)
        elif loaded.layout != "saetui":
            raise InvalidInput("The result is in SAELens's layout already.", "Export it with --format saelens.")
        target.mkdir()
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            write_durably(target / file, (source / file).read_bytes(), point="copy")
    except OSError as error:
        raise SaetuiError(
            f"{target} could not be written: {error.strerror}.", "Choose a writable place with enough space."
        ) from error


def _facts(loaded: LoadedSAE) -> dict[str, object]:
    sae, metadata = loaded.sae, loaded.metadata
    return {
        "layout": loaded.layout,
        "architecture": sae.architecture,
        "d_in": sae.d_in,
        "d_out": sae.d_out,
        "latents": sae.latents,
        "model": _text(metadata.get("model_name")),
        "hook_name": _text(metadata.get("hook_name")) or _text(metadata.get("hf_hook_name")),
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _answer(request: dict[str, Any]) -> object:
    if "import" in request:
        return import_sae(Path(request["import"]), Path(request["into"]), request["name"])
    for name, source in request["convert"].items():
        try:
            convert(Path(source), Path(request["into"]) / name, request["layout"])
        except InvalidInput as refused:
            raise InvalidInput(f"{name}: {refused.message}", refused.suggestion) from refused
    return None


if __name__ == "__main__":
    sys.exit(serve_task(_answer))
