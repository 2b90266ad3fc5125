"""What `saetui doctor` checks without torch: the home, the session, the terminal. Each finding says what to do."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path

import msgspec

from saetui.display.figures import count, size
from saetui.errors import SaetuiError
from saetui.home import Home
from saetui.jobs.damage import read_damage
from saetui.rundir.leftovers import Kind, classify_all

LITTLE_SPACE = 5 << 30
LITTLE_MEMORY = 2 << 30
FEW_FILES = 1024
LOGIND = ("/etc/systemd/logind.conf", "/usr/lib/systemd/logind.conf")
LOGIND_DROP_INS = ("/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d", "/etc/systemd/logind.conf.d")


class Verdict(str, Enum):
    """What a check found."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check. `suggestion`: what to do, where something should be done."""

    subject: str
    verdict: Verdict
    message: str
    suggestion: str | None = None


def good(subject: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(subject=subject, verdict=Verdict.GOOD, message=message)


def warning(subject: str, message: str, suggestion: str) -> Finding:
    """It works, with a disadvantage."""
    return Finding(subject=subject, verdict=Verdict.WARNING, message=message, suggestion=suggestion)


def problem(subject: str, message: str, suggestion: str | None) -> Finding:
    """Something does not work until the user acts."""
    return Finding(subject=subject, verdict=Verdict.PROBLEM, message=message, suggestion=suggestion)


def check_home(home: Home) -> Iterator[Finding]:
    """Whether the home can be made and written, who else may read it, and how much room its disk has."""
    try:
        home.make()
    except SaetuiError as error:
        yield problem("home", error.message, error.suggestion)
        return
    mode = stat.S_IMODE(home.root.stat().st_mode)
    if mode & 0o077:
        yield warning("home", f"{home.root} can be read by others (mode {mode:o}).", f"chmod 700 {home.root}")
    else:
        yield good("home", str(home.root))
    free = shutil.disk_usage(home.root).free
    if free < LITTLE_SPACE:
        yield warning("disk", f"{size(free)} free: checkpoints and cached activations may not fit.",
                      "Delete old jobs, or set SAETUI_HOME to a larger disk.")  # fmt: skip
    else:
        yield good("disk", f"{size(free)} free")


def check_losses(home: Home) -> Iterator[Finding]:
    """What damaged files have cost, until the user acknowledges it."""
    for loss in read_damage(home.root):
        yield warning("losses", loss.sentence(), "Keep or remove that file; then: saetui doctor --acknowledge")


def check_runs(home: Home, known: Collection[str] | None) -> Iterator[Finding]:
    """What lies in `runs/` and is no job. saetui removes nothing of it unless it is provably saetui's own.

    Args:
        home: the home.
        known: the ids of the jobs that the supervisor knows; None where it could not be asked.
    """
    try:
        entries = classify_all(home.runs)
    except OSError as error:
        yield problem(
            "runs", f"{home.runs} cannot be read: {error.strerror or error}.", "Give this user the right to read it."
        )
        return
    for entry in entries:
        path = shlex.quote(entry.shown)
        if entry.kind is Kind.FOREIGN:
            way_out = f"saetui leaves it there. If it is yours, keep it elsewhere: mv {path} …"
            yield warning("runs", f"{entry.shown} {entry.what}.", way_out)
        elif entry.kind is Kind.DELETED:
            yield warning("runs", f"{entry.shown} is left over from the deleted job {entry.job_id}.",
                          f"The next start of the supervisor tries to remove it; if it cannot: lsattr -d {path}, rm -r {path}")  # fmt: skip
        elif entry.kind is Kind.HALF_MADE:
            yield warning("runs", f"{entry.shown} is half of a submission that was never acknowledged.",
                          "The next start of the supervisor removes it.")  # fmt: skip
        elif known is not None and entry.job_id not in known:
            yield warning("runs", f"{entry.shown} has the name of a job, and the supervisor knows no such job.",
                          f"saetui leaves it there. If it is not needed: rm -r {path}")  # fmt: skip


def check_memory() -> Iterator[Finding]:
    """The memory that a training could use now."""
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    message = f"{size(memory.available)} of {size(memory.total)} available, {size(swap.total)} swap"
    if memory.available < LITTLE_MEMORY:
        yield warning("memory", f"{message}.", "Close other programs; on a Jetson, also leave its desktop: sudo init 3")
    else:
        yield good("memory", message)


def check_limits() -> Iterator[Finding]:
    """The limits of this login."""
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < FEW_FILES:
        yield warning("limits", f"Only {files} files may be open at once.", f"ulimit -n {FEW_FILES}")
    else:
        yield good("limits", f"{count(files)} open files")


def check_logout(
    files: Sequence[Path] | None = None, lingers: bool | None = None, systemd: bool | None = None
) -> Iterator[Finding]:
    """Whether a logout would end the trainings (systemd-logind's KillUserProcesses).

    Args:
        files: logind's configuration, the file that wins last; by default this machine's.
        lingers: whether the user lingers; by default loginctl tells.
        systemd: whether logind runs; by default whether this machine was started with systemd.
    """
    if not (Path("/run/systemd/system").exists() if systemd is None else systemd):
        yield good("logout", "jobs go on: there is no systemd here that would end them")
        return
    if not _kills_user_processes(_logind_files() if files is None else files):
        yield good("logout", "jobs go on (KillUserProcesses=no)")
    elif _lingers() if lingers is None else lingers:
        yield good("logout", "jobs go on (KillUserProcesses=yes, and this user lingers)")
    else:
        yield problem(
            "logout",
            "systemd-logind ends your processes when you log out (KillUserProcesses=yes), trainings included.",
            "loginctl enable-linger",
        )


def check_terminal(environment: Mapping[str, str] = os.environ, encoding: str | None = None) -> Iterator[Finding]:
    """Whether the terminal can show the screens, and the clipboard works."""
    kind = environment.get("TERM", "")
    if kind in ("", "dumb"):
        yield warning("terminal", f"TERM is {kind or 'not set'}: the screens cannot be shown.",
                      "Use a real terminal, or the commands: saetui --help")  # fmt: skip
        return
    used = (encoding or sys.stdout.encoding or "").lower().replace("-", "")
    if used != "utf8":
        yield warning("terminal", f"The terminal's encoding is {used or 'unknown'}: charts need UTF-8.",
                      "export LANG=C.UTF-8, or turn ASCII charts on in the screens (:)")  # fmt: skip
    else:
        yield good("terminal", f"{kind}, UTF-8")
    if "TMUX" in environment:
        yield _check_clipboard()


def _check_clipboard() -> Finding:
    asked = subprocess.run(["tmux", "show", "-sv", "set-clipboard"], capture_output=True, text=True, check=False)
    value = asked.stdout.strip()
    if value == "on":
        return good("clipboard", "tmux passes copies on")
    return warning("clipboard", f"tmux keeps what the screens copy to itself (set-clipboard {value or 'unknown'}).",
                   "tmux set -s set-clipboard on")  # fmt: skip


def _logind_files() -> list[Path]:
    drop_ins = [path for directory in LOGIND_DROP_INS for path in sorted(Path(directory).glob("*.conf"))]
    main = [Path(path) for path in LOGIND if Path(path).exists()][:1]
    return [*main, *drop_ins]


def _kills_user_processes(files: Sequence[Path]) -> bool:
    value = "no"
    for path in files:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parser.read(path)
        except (OSError, configparser.Error):
            continue  # logind itself skips what it cannot read
        value = parser.get("Login", "KillUserProcesses", fallback=value)
    return value.strip().lower() in ("yes", "true", "on", "1")


def _lingers() -> bool:
    try:
        asked = subprocess.run(
            ["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"],
            capture_output=True, text=True, check=False, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.stdout.strip() == "yes"
