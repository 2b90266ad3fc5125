"""The files of a directory, alike for who looks a dataset over (saetui.jobs) and who reads it (saetui.activations)."""

from __future__ import annotations

import os
from pathlib import Path

from saetui.errors import DatasetError


def files_below(directory: Path) -> list[Path]:
    """All files, in the order of their names; links to directories are not followed.

    Raises:
        DatasetError: the directory, or one below it, cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    try:
        walk = os.walk(directory, onerror=refuse)
        return sorted(path for place, _, names in walk for name in names if (path := Path(place, name)).is_file())
    except OSError as error:
        raise DatasetError(
            f"{error.filename} in the dataset {directory} cannot be read: {error.strerror}.",
            "Make it readable, or take it out of the dataset.",
        ) from error
