"""The small process between the supervisor and a trainer: it outlives the supervisor and records how the trainer ended.

Run as a script, `python -I -S runner.py RUN_DIRECTORY -- COMMAND…`, with nothing but the standard library, so that it
stays at about 10 MB for as long as a training lasts. Everything it knows goes into two files of the run directory:
`identity.json` once the trainer lives, `exit.json` when it has ended. The lock of the run directory is an inherited file
descriptor that it passes on by not closing it: the lock is held for as long as it or the trainer lives.

It works in that directory, so that a directory that is moved takes its two files along. When the directory is deleted,
nothing that the trainer does can be kept any more, and nobody can ask it to stop: it is killed.
"""

from __future__ import annotations

import binascii
import ctypes
import json
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
OOM_SCORE_ADJ = 500
"""When memory runs out the kernel shall take the trainer, not the user's shell, the runner or the supervisor."""

WATCH_SECONDS = 2.0
"""How often it is seen whether the run directory is still there, and how long the log is."""

FORWARDED = (signal.SIGTERM, signal.SIGINT)

LOG = "trainer.log"
LOG_BYTES = 64 << 20
"""A library that warns at every step must not fill the disk: a longer log loses its oldest part …"""
LOG_BYTES_KEPT = 16 << 20
"""… down to about so much."""
LOG_HEADER = "[saetui removed {:20d} bytes of this log]\n"
"""The first line of a log that lost its oldest part, always as long; rundir/log.py reads it."""


def main(arguments: list[str]) -> int:
    """Run the command to its end, and record that end."""
    directory, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit("usage: runner.py RUN_DIRECTORY -- COMMAND…")
    os.chdir(directory)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Inherited by the trainer: until it has a handler of its own, the signal to read its wishes must not kill it.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    become_subreaper()
    sweep()
    # Until the trainer lives a signal has nobody to go to: it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    kills_before = count_memory_kills()
    try:
        trainer = start(command)
    except OSError as error:
        append(LOG, f"The trainer could not be started: {error}\n")
        write_exit(code=127, killer=None, out_of_memory=False)
        return 1
    for number in FORWARDED:
        signal.signal(number, lambda _number, _frame: os.kill(trainer, signal.SIGTERM))
    watch(trainer)
    write("identity.json", {"runner": identity(os.getpid()), "trainer": identity(trainer)})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    status = wait_for(trainer)
    killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    write_exit(
        code=os.WEXITSTATUS(status) if killer is None else None,
        killer=killer,
        out_of_memory=killer == signal.SIGKILL and count_memory_kills() > kills_before,
    )
    reap_group(trainer)
    return 0


def become_subreaper() -> None:
    """Orphans of the trainer become our children, so that none stays a zombie where process 1 does not reap."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        complain(f"prctl: {os.strerror(ctypes.get_errno())}\n")


def sweep() -> None:
    """Remove the temporary files of an earlier runner of this job that was killed: only the one that lives writes here."""
    with os.scandir(".") as entries:
        for entry in entries:
            if entry.name.startswith((".identity.json.", ".exit.json.")) and entry.name.endswith(".tmp"):
                try:
                    os.remove(entry.path)
                except OSError as error:
                    complain(f"{entry.path}: {error}\n")


def watch(trainer: int) -> None:
    """From now on, every few seconds: kill the trainer's group if our directory was deleted, and shorten a long log."""

    def look(_number: int, _frame: object) -> None:
        if is_deleted():
            kill_group(trainer)
            return
        try:
            shorten(LOG, LOG_BYTES, LOG_BYTES_KEPT)
        except OSError as error:
            complain(f"{LOG}: {error}\n")

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, WATCH_SECONDS, WATCH_SECONDS)


def is_deleted() -> bool:
    """Whether the directory that we work in has no name any more."""
    try:
        os.getcwd()  # noqa: PTH109 (pathlib is memory for as long as a training lasts)
    except FileNotFoundError:
        return True
    return False


def kill_group(trainer: int) -> None:
    """End the trainer and what it started."""
    try:
        os.killpg(trainer, signal.SIGKILL)
    except ProcessLookupError:
        # It has ended and was reaped.
        return


def start(command: list[str]) -> int:
    """Start the trainer in a process group of its own, with its output straight to trainer.log; its pid."""
    trainer = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setpgroup=0,
        setsigmask=[],
        setsigdef=FORWARDED,
    )
    try:
        with open(f"/proc/{trainer}/oom_score_adj", "w") as file:
            file.write(str(OOM_SCORE_ADJ))
    except OSError as error:
        # It trains as well without; some sandboxes forbid it.
        complain(f"oom_score_adj: {error}\n")
    return trainer


def wait_for(trainer: int) -> int:
    """Reap every child until the trainer has ended; its wait status."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        if ended.si_pid == trainer:
            break
        os.waitpid(ended.si_pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    # Still unreaped, the trainer keeps its group's number from being given to anyone else.
    os.killpg(trainer, signal.SIGKILL)
    return os.waitpid(trainer, 0)[1]


def shorten(log: str, most: int, kept: int) -> None:
    """Remove the oldest part of a log of more than `most` bytes, so that about the newest `kept` stay.

    In place: the trainer has the file open for appending and goes on behind the new end. The newest part is copied to the
    front first (twice `kept` is at most `most`, so nothing is overwritten that is still to be copied), then the file is cut.
    """
    descriptor = os.open(log, os.O_RDWR)
    try:
        size = os.fstat(descriptor).st_size
        if size <= most:
            return
        head = os.pread(descriptor, len(LOG_HEADER.format(0)), 0)
        removed = int(head.split()[2]) - len(head) if head.startswith(b"[saetui removed ") else 0
        start = size - kept
        line_end = os.pread(descriptor, 1 << 16, start).find(b"\n")
        start += line_end + 1
        header = LOG_HEADER.format(removed + start).encode()
        copied, end = copy_down(descriptor, start, len(header))
        os.pwrite(descriptor, header, 0)
        # As late as can be: what is appended between this copy and the cut, some microseconds, is lost.
        _, end = copy_down(descriptor, copied, end)
        os.ftruncate(descriptor, end)
    finally:
        os.close(descriptor)


def copy_down(descriptor: int, source: int, target: int) -> tuple[int, int]:
    """Copy what lies from `source` to the file's end to `target`, with what is appended meanwhile; where both end."""
    while data := os.pread(descriptor, 1 << 20, source):
        os.pwrite(descriptor, data, target)
        source += len(data)
        target += len(data)
    return source, target


def reap_group(trainer: int) -> None:
    """Wait for what the trainer left behind in its group; it has been killed."""
    while True:
        try:
            os.waitpid(-trainer, 0)
        except ChildProcessError:
            return


def identity(pid: int) -> dict[str, int | str]:
    """What tells a process from a later one with the same pid."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The command's name is in parentheses and may hold anything: fields are counted after the last one.
        fields = file.read().rpartition(b")")[2].split()
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return {"pid": pid, "start": int(fields[19]), "boot": boot}


def count_memory_kills() -> int:
    """How many processes the kernel has killed for memory since it started."""
    try:
        with open("/proc/vmstat") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except OSError as error:
        complain(f"/proc/vmstat: {error}\n")
    return 0


def write_exit(code: int | None, killer: int | None, out_of_memory: bool) -> None:
    """Record how the trainer ended."""
    ended_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    end = {"code": code, "signal": killer, "out_of_memory": out_of_memory, "ended_at": ended_at}
    write("exit.json", end)


def write(name: str, content: object) -> None:
    """Write a file as one step. A full disk is waited for: nobody else knows what is to be written."""
    temporary = f".{name}.{os.getpid()}.tmp"
    while True:
        try:
            with open(temporary, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(seal(json.dumps(content)))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, name)
            descriptor = os.open(".", os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            return
        except OSError as error:
            if is_deleted():
                # Nobody will ever read it, and the trainer is being killed.
                return
            complain(f"{name}: {error}\n")
            time.sleep(1.0)


def complain(text: str) -> None:
    """Say in the trainer's log what went wrong here."""
    try:
        os.write(2, text.encode())
    except OSError:
        # The disk of the log is the one that is full. Nothing is left to tell it to, and what we are here for goes on.
        return


def seal(text: str) -> str:
    """A JSON object with a checksum of itself as the last member (as formats/sealed.py makes and checks it)."""
    body = text[:-1]
    return f'{body},"crc":"{binascii.crc32(body.encode()):08x}"}}'


def append(path: str, text: str) -> None:
    """Add a line to the trainer's log."""
    with open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
