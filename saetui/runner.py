"""The small process between the supervisor and a trainer: it outlives the supervisor and records how the trainer ended.

It runs as a script, `python -I -S runner.py RUN_DIRECTORY -- COMMAND…`. It loads the standard library and a few modules of
saetui that need nothing else, so that it stays at about 10 MB for as long as a training lasts. It loads them at its start:
an update may replace the files later. It writes two files into the run directory: `identity.json` once the trainer lives,
`exit.json` when the trainer has ended. The lock of the run directory is an inherited file descriptor that it passes on by
not closing it: the lock is held for as long as the runner or the trainer lives.

It works in the run directory, so that its two files go with a directory that is moved. When the directory is deleted, the
trainer can save nothing any more, and nobody can ask it to stop: the runner kills it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time

if not __package__:
    # A script in isolated mode: the directory above the package is not searched, be it a checkout or site-packages.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 (no pathlib)
from saetui.formats.durable import seal, write_durably
from saetui.formats.run_files import EXIT, IDENTITY, LOG, LOG_HEADER

if not __package__:
    # Nothing else is loaded from there.
    sys.path.pop()

PR_SET_CHILD_SUBREAPER = 36
OOM_SCORE_ADJ = 500
"""When memory runs out, the kernel shall kill the trainer, not the user's shell, the runner or the supervisor."""

WATCH_SECONDS = 2.0
"""How often the runner checks whether the run directory is still there, and how long the log is."""

FORWARDED = (signal.SIGTERM, signal.SIGINT)

LOG_BYTES = 64 << 20
"""A library that warns at every step must not fill the disk: a longer log loses its oldest part …"""
LOG_BYTES_KEPT = 16 << 20
"""… down to about so much."""


def main(arguments: list[str]) -> int:
    """Run the command to its end, and record that end."""
    directory, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit("usage: runner.py RUN_DIRECTORY -- COMMAND…")
    os.chdir(directory)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The trainer inherits this: until it has a handler, the signal to read its control file must not kill it.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    become_subreaper()
    sweep()
    # Until the trainer lives, a signal to forward waits.
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
    write(IDENTITY, {"runner": identity(os.getpid()), "trainer": identity(trainer)})
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
    """Adopt the orphans of the trainer, so that none stays a zombie where process 1 does not reap."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        complain(f"prctl: {os.strerror(ctypes.get_errno())}\n")


def sweep() -> None:
    """Remove the temporary files of an earlier runner of this job that was killed; no other runner writes here now."""
    with os.scandir(".") as entries:
        for entry in entries:
            if entry.name.startswith((f".{IDENTITY}.", f".{EXIT}.")) and entry.name.endswith(".tmp"):
                try:
                    os.remove(entry.path)
                except OSError as error:
                    complain(f"{entry.path}: {error}\n")


def watch(trainer: int) -> None:
    """Every few seconds from now on: kill the trainer's group if our directory was deleted, and shorten a long log."""

    def check(_number: int, _frame: object) -> None:
        if is_deleted():
            kill_group(trainer)
            return
        try:
            shorten(LOG, LOG_BYTES, LOG_BYTES_KEPT)
        except OSError as error:
            complain(f"{LOG}: {error}\n")

    signal.signal(signal.SIGALRM, check)
    signal.setitimer(signal.ITIMER_REAL, WATCH_SECONDS, WATCH_SECONDS)


def is_deleted() -> bool:
    """Whether the directory in which we work was deleted."""
    try:
        os.getcwd()  # noqa: PTH109 (pathlib is memory for as long as a training lasts)
    except FileNotFoundError:
        return True
    return False


def kill_group(trainer: int) -> None:
    """Kill the trainer and what it started."""
    try:
        os.killpg(trainer, signal.SIGKILL)
    except ProcessLookupError:
        # The trainer has ended and was reaped.
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
        # Some sandboxes forbid it, and the training does not need it.
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
    # While the trainer is not reaped, nobody else can get the number of its group.
    os.killpg(trainer, signal.SIGKILL)
    return os.waitpid(trainer, 0)[1]


def shorten(log: str, most: int, kept: int) -> None:
    """Remove the oldest part of a log of more than `most` bytes, so that about the newest `kept` stay.

    In place: the trainer has the file open for appending and goes on after the new end. The newest part is copied to the
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
        # As late as possible: what is appended in the microseconds between this copy and the cut is lost.
        _, end = copy_down(descriptor, copied, end)
        os.ftruncate(descriptor, end)
    finally:
        os.close(descriptor)


def copy_down(descriptor: int, source: int, target: int) -> tuple[int, int]:
    """Copy everything from `source` on, and what is appended meanwhile, to `target`. Returns where both end."""
    while data := os.pread(descriptor, 1 << 20, source):
        os.pwrite(descriptor, data, target)
        source += len(data)
        target += len(data)
    return source, target


def reap_group(trainer: int) -> None:
    """Reap the killed processes that the trainer left in its group."""
    while True:
        try:
            os.waitpid(-trainer, 0)
        except ChildProcessError:
            return


def identity(pid: int) -> dict[str, int | str]:
    """The pid, and what tells this process from a later one with the same pid."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The name of the command is in parentheses and may hold anything: fields are counted after the last parenthesis.
        fields = file.read().rpartition(b")")[2].split()
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return {"pid": pid, "start": int(fields[19]), "boot": boot}


def count_memory_kills() -> int:
    """How many processes the kernel has killed for memory since the boot."""
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
    write(EXIT, {"code": code, "signal": killer, "out_of_memory": out_of_memory, "ended_at": ended_at})


def write(name: str, content: object) -> None:
    """Write a file as one step. The runner waits while the disk is full: nobody else knows the content."""
    while True:
        try:
            return write_durably(name, seal(json.dumps(content).encode()), point="runner")
        except OSError as error:
            if is_deleted():
                # Nobody will ever read the file, and the trainer is being killed.
                return None
            complain(f"{name}: {error}\n")
            time.sleep(1.0)


def complain(text: str) -> None:
    """Write into the trainer's log what failed here."""
    try:
        os.write(2, text.encode())
    except OSError:
        # The disk of the log is full too. There is nowhere else to write, and the runner's own work goes on.
        return


def append(path: str, text: str) -> None:
    """Add a line to the trainer's log."""
    with open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
