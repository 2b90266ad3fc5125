"""Which process is meant: its pid, its start time and the boot it lives in. A pid alone is never trusted."""

from __future__ import annotations

import os
import signal
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
    """Who runs a job, as the runner wrote it."""

    runner: Identity
    trainer: Identity


def boot_id() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """Who has this pid now; None when nobody has, or only a zombie that waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else Identity(pid, int(fields[19]), boot_id())


def open_process(who: Identity) -> int | None:
    """A pidfd of exactly this process; None when it lives no more. The caller closes it."""
    try:
        descriptor = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return None
    # Opened first, compared then: what is compared cannot be replaced any more.
    if identify(who.pid) == who:
        return descriptor
    os.close(descriptor)
    return None


def send_signal(who: Identity, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it lives no more."""
    descriptor = open_process(who)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def send_if_caught(who: Identity, number: signal.Signals) -> None:
    """Signal exactly this process, if it lives and has a handler for that: one that has none would die of it."""
    descriptor = open_process(who)
    if descriptor is None:
        return
    try:
        if catches(who.pid, number):
            signal.pidfd_send_signal(descriptor, number)
    except (FileNotFoundError, ProcessLookupError):
        return
    finally:
        os.close(descriptor)


def is_deaf_to(who: Identity, number: signal.Signals) -> bool:
    """Whether exactly this process lives and has no handler for a signal."""
    descriptor = open_process(who)
    if descriptor is None:
        return False
    try:
        return not catches(who.pid, number)
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        os.close(descriptor)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (SigCgt in /proc/PID/status).

    Raises:
        FileNotFoundError, ProcessLookupError: it lives no more.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def read_identities(path: Path) -> Identities | None:
    """What the runner wrote; None while it has written nothing (readable)."""
    try:
        return decode_sealed(read_regular(path), Identities)
    except (FileNotFoundError, NotRegular, TooLarge, msgspec.DecodeError):
        return None
