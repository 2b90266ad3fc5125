"""This login: its limits, and whether trainings go on after it."""

from __future__ import annotations

import configparser
import getpass
import os
import re
from collections.abc import Iterator
from pathlib import Path

from saetui.cli.checks.finding import Finding, good, problem, warning
from saetui.client.lifecycle import holder_of
from saetui.display.figures import count
from saetui.home import Home

FEW_FILES = 1024
LOGIND = tuple(f"{directory}/systemd/logind.conf" for directory in ("etc", "run", "usr/local/lib", "usr/lib"))
"""The first one that exists counts; drop-ins in `logind.conf.d` beside each change it (logind.conf(5))."""
LINGERING = "var/lib/systemd/linger"

_SESSION = re.compile(r"/session-[^/]+\.scope(/|$)")
_MANAGER = re.compile(r"/user@\d+\.service(/|$)")


def check_limits() -> Iterator[Finding]:
    """The limits of this login."""
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < FEW_FILES:
        yield warning("limits", f"Only {files} files may be open at once.", f"ulimit -n {FEW_FILES}")
    else:
        yield good("limits", f"{count(files)} open files")


def check_logout(home: Home, root: Path = Path("/"), user: str | None = None) -> Iterator[Finding]:
    """Whether systemd-logind would end the trainings of this home at logout.

    It ends what belongs to a login session where KillUserProcesses says so, whether the user lingers or not. It ends what runs
    under the user's manager (such as the terminals of a desktop) after the last login, unless the user lingers.

    Args:
        home: whose supervisor's processes are meant; where none runs, those that this command would start.
        root: of the file system; `/` except in tests.
        user: by default the one who runs this.
    """
    if not (root / "run/systemd/system").exists():
        yield good("logout", "jobs go on: there is no systemd here that would end them")
        return
    name = user or _user()
    lingers = (root / LINGERING / name).exists()
    group = _cgroup(root, holder_of(home))
    if _MANAGER.search(group):
        yield _under_manager(lingers)
    elif not _SESSION.search(group):
        yield good("logout", "jobs go on: they belong to no login")
    elif not _kills(root, name):
        yield good("logout", "jobs go on (KillUserProcesses=no)")
    else:
        yield problem(
            "logout",
            "systemd-logind ends the processes of a login when you log out (KillUserProcesses=yes), trainings included.",
            ("" if lingers else "loginctl enable-linger && ")
            + "saetui supervisor stop && systemd-run --user --scope saetui supervisor start",
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a container may have a user without a name


def _under_manager(lingers: bool) -> Finding:
    if lingers:
        return good("logout", "jobs go on: they run under your systemd user manager, which lingers")
    message = "Jobs run under your systemd user manager, which ends with your last login, and they with it."
    return problem("logout", message, "loginctl enable-linger")


def _cgroup(root: Path, pid: int | None) -> str:
    """Where systemd has put a process: the unified hierarchy, or that which systemd names itself."""
    try:
        lines = (root / f"proc/{pid or 'self'}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    return paths.get("name=systemd") or paths.get("", "")


def _kills(root: Path, user: str) -> bool:
    """What logind's configuration says of a user's sessions. Without a word there it is no, as distributions build it."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    for path in _files(root):
        try:
            parser.read(path)
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # logind itself skips what it cannot read

    def said(name: str, default: str) -> str:
        return parser.get("Login", name, fallback=default).strip()

    if said("KillUserProcesses", "no").lower() not in ("yes", "true", "on", "1"):
        return False
    if user in said("KillExcludeUsers", "root").split():
        return False
    only = said("KillOnlyUsers", "").split()
    return not only or user in only


def _files(root: Path) -> list[Path]:
    """The configuration, the file that wins last. Of drop-ins with one name the one in the first directory counts."""
    named: dict[str, Path] = {}
    for name in reversed(LOGIND):
        named.update({path.name: path for path in (root / f"{name}.d").glob("*.conf")})
    main = [root / name for name in LOGIND if (root / name).exists()][:1]
    return [*main, *(named[name] for name in sorted(named))]
