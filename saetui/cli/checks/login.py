"""This login: its limits, and whether jobs go on after it."""

from __future__ import annotations

import configparser
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from saetui.cli.checks.finding import Finding, good, problem, warning
from saetui.display.figures import count

FEW_FILES = 1024
LOGIND = ("/etc/systemd/logind.conf", "/usr/lib/systemd/logind.conf")
LOGIND_DROP_INS = ("/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d", "/etc/systemd/logind.conf.d")


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
