"""What is wished of a running trainer: written by the supervisor, read by the trainer.

The file says what should be, not what should be done: a trainer that starts, or missed a signal, reads it and knows all.
"""

from __future__ import annotations

from typing import Union

import msgspec

from saetui.errors import FormatError
from saetui.formats.durable import write_durably
from saetui.formats.regular import read_regular
from saetui.formats.sealed import decode_sealed, seal
from saetui.jobs.job import DesiredState
from saetui.rundir.layout import RunDirectory
from saetui.rundir.retention import Retention

__all__ = ["CONTROL", "Control", "DesiredState", "read_control", "write_control"]

CONTROL = "control.json"


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """The wishes for one job.

    Attributes:
        desired_state: `wish` in the file. `pause` holds between steps with everything in memory; `release` saves, frees all and ends the process.
        checkpoints: how many checkpoints were ever asked for; a trainer that has answered fewer saves one.
        retention: which checkpoints stay, in place of what the spec says; None where the spec holds.
    """

    desired_state: DesiredState = msgspec.field(default=DesiredState.RUN, name="wish")
    checkpoints: int = 0
    retention: Union[Retention, None] = None


def read_control(run: RunDirectory) -> Control:
    """What is wished of a job; to train, where nothing was ever wished.

    Raises:
        FormatError: the file is damaged.
    """
    path = run.path / CONTROL
    try:
        return decode_sealed(read_regular(path), Control)
    except FileNotFoundError:
        return Control()
    except (OSError, msgspec.DecodeError) as error:
        raise FormatError(
            f"{path.absolute()} cannot be read: {error}.", "Pause or resume the job to have it written anew."
        ) from error


def write_control(run: RunDirectory, control: Control) -> None:
    """Replace the wishes in one step; signal the trainer (SIGUSR1) afterwards.

    Raises:
        OSError: the disk is full or not writable; the old wishes stay.
    """
    write_durably(run.path / CONTROL, seal(msgspec.json.encode(control)))
