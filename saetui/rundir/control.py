"""Requests to a running trainer: written by the supervisor, read by the trainer.

The file holds the desired state, not the steps towards it: a trainer that has just started, or missed a signal, needs
nothing else.
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
from saetui.rundir.retention import Retention, spec_rules


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """The requests to one trainer.

    Attributes:
        desired_state: `wish` in the file. `pause` waits between two steps and keeps everything in memory; `release` saves
            a checkpoint, frees the memory and ends the process.
        checkpoints: the number of checkpoints requested so far; a trainer that has answered fewer requests saves one.
        retention: rules that replace those of the spec; None where the spec's rules hold.
    """

    desired_state: DesiredState = msgspec.field(default=DesiredState.RUN, name="wish")
    checkpoints: int = 0
    retention: Union[Retention, None] = None


def read_control(run: RunDirectory) -> Control:
    """Read the requests; without a file the job is to train.

    Raises:
        FormatError: the file is damaged.
    """
    try:
        return decode_sealed(read_regular(run.control), Control)
    except FileNotFoundError:
        return Control()
    except (OSError, msgspec.DecodeError) as error:
        raise FormatError(
            f"{run.control.absolute()} cannot be read: {error}.", "Pause or resume the job; this writes the file again."
        ) from error


def write_control(run: RunDirectory, control: Control) -> None:
    """Replace the requests in one step. Signal the trainer (SIGUSR1) afterwards.

    Raises:
        OSError: the disk is full or not writable; the old requests stay.
    """
    write_durably(run.control, seal(msgspec.json.encode(control)))


def rules_in_force(run: RunDirectory) -> Retention:
    """Which checkpoints of a job are kept: as the user said last, else as its spec says.

    Raises:
        FormatError: its control file or its spec cannot be read.
    """
    return read_control(run).retention or spec_rules(run.read_spec())
