"""A checkpoint that is being read is not deleted under its reader."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saetui.errors import NotFound
from saetui.rundir.checkpoints import delete_checkpoint


@contextmanager
def reading(checkpoint: Path) -> Iterator[Path]:
    """As long as the block lasts, no trainer and no retention deletes the checkpoint.

    Raises:
        NotFound: it is not there, or was deleted at this very moment.
    """
    gone = NotFound(f"There is no checkpoint {checkpoint}.", "Choose one of those that `saetui show` lists.")
    try:
        descriptor = os.open(checkpoint, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise gone from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not _is_still_there(checkpoint, descriptor):
            raise gone
        yield checkpoint
    finally:
        os.close(descriptor)


def delete_unless_read(checkpoint: Path) -> bool:
    """Delete a checkpoint; False where somebody reads it, and it stays.

    Raises:
        OSError: it cannot be deleted.
    """
    descriptor = os.open(checkpoint, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        delete_checkpoint(checkpoint)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_still_there(checkpoint: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(checkpoint.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
