"""Which process is meant: its pid, its start time and its boot. A pid alone is never trusted: it is given again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec

from saetui.formats.regular import NotRegular, TooLarge, read_regular
from saetui.formats.sealed import decode_sealed


class Identity(msgspec.Struct, frozen=True):
    """One process of one boot.

    Attributes:
        start: field 22 of /proc/PID/stat, in clock ticks since the boot.
        boot: the kernel's id of the boot.
    """

    pid: int
    start: int
    boot: str


class Identities(msgspec.Struct, frozen=True):
    """The processes of a job, as the runner recorded them."""

    runner: Identity
    trainer: Identity


def boot_id() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the command's name (proc(5)): state, parent, group, session, …

    Raises:
        FileNotFoundError, ProcessLookupError: no process has this pid.
    """
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def identify(pid: int) -> Identity | None:
    """The process that has this pid now; None when there is none, or only a zombie that waits to be reaped."""
    try:
        fields = read_stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else Identity(pid, int(fields[19]), boot_id())


def open_process(who: Identity) -> int | None:
    """A pidfd of exactly this process; None when the process has ended. The caller closes the descriptor."""
    try:
        descriptor = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return None
    # Opened first and compared then: no other process can take the place of the one that is compared.
    if identify(who.pid) == who:
        return descriptor
    os.close(descriptor)
    return None


@contextlib.contextmanager
def opened(who: Identity) -> Iterator[int | None]:
    """The same for the length of a block."""
    descriptor = open_process(who)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def send_signal(who: Identity, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it has ended."""
    with opened(who) as descriptor, contextlib.suppress(ProcessLookupError):
        if descriptor is not None:
            signal.pidfd_send_signal(descriptor, number)
            return True
    return False


def send_if_caught(who: Identity, number: signal.Signals) -> None:
    """Signal exactly this process if it lives and has a handler for the signal: without one it would die."""
    with opened(who) as descriptor, contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if descriptor is not None and catches(who.pid, number):
            signal.pidfd_send_signal(descriptor, number)


def lives_without_handler(who: Identity, number: signal.Signals) -> bool:
    """Whether exactly this process lives and has no handler for a signal."""
    with opened(who) as descriptor, contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return descriptor is not None and not catches(who.pid, number)
    return False


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (SigCgt in /proc/PID/status).

    Raises:
        FileNotFoundError, ProcessLookupError: the process has ended.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def read_identities(path: Path) -> Identities | None:
    """The runner's record; None while there is none, or none that can be read."""
    try:
        return decode_sealed(read_regular(path), Identities)
    except (FileNotFoundError, NotRegular, TooLarge, msgspec.DecodeError):
        return None
