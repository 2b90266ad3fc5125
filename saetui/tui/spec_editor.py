"""The spec of the form in the user's own editor, as JSON, and back."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from textual.app import App, SuspendNotSupported

from saetui.errors import InvalidInput
from saetui.spec.editing import load_spec_file
from saetui.spec.problems import SpecError, errors_of
from saetui.spec.training_spec import check_fields


def write_spec(path: Path, raw: Mapping[str, Any]) -> None:
    """Write a spec as JSON that is easy to edit."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(raw), indent=2) + b"\n")


def read_spec(path: Path) -> dict[str, Any]:
    """Read an edited spec; any field may be missing.

    Raises:
        InvalidInput: it is not JSON, or (SpecError) has fields or values that the form could not show.
    """
    raw = load_spec_file(path)
    wrong = errors_of(check_fields(raw, partial=True))
    if wrong:
        raise SpecError(wrong)
    return raw


def run_editor(app: App[Any], path: Path) -> None:
    """Let the user edit a file in `$VISUAL` or `$EDITOR` (else `vi`), while the screens are put away.

    The app stands still meanwhile: it must not draw into the editor. Jobs go on.

    Raises:
        InvalidInput: the editor is not named soundly, cannot be started, or failed.
    """
    said = (os.environ.get("VISUAL") or os.environ.get("EDITOR") or "").strip() or "vi"
    try:
        command = shlex.split(said)
    except ValueError as error:
        raise InvalidInput(f"EDITOR is {said!r}: {error}.", "Set it to the name of an editor.") from error
    name = Path(command[0]).name
    # ctrl+c belongs to the editor. A handler of ours, unlike SIG_IGN, is not inherited by it.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with app.suspend():
            status = subprocess.run([*command, str(path)], check=False).returncode
    except SuspendNotSupported:
        raise InvalidInput("This terminal cannot leave the screens for an editor.", "Change the fields here.") from None
    except OSError as error:
        message = f"The editor {name} cannot be started: {error.strerror}."
        raise InvalidInput(message, "Set EDITOR to an editor that is installed.") from error
    finally:
        signal.signal(signal.SIGINT, before)
        app.refresh(layout=True)
    if status != 0:
        raise InvalidInput(f"The editor {name} ended with exit code {status}.", "Its text was not taken over.")
