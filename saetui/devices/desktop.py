"""The processes of a graphical session. On a Jetson they take memory that the GPU could have."""

from __future__ import annotations

from pathlib import Path

KIB = 1024

NAMES = frozenset({
    "Xorg", "Xwayland", "Xtightvnc", "Xtigervnc", "gnome-shell", "gnome-session-b", "gdm-x-session", "mutter", "kwin_x11",
    "kwin_wayland", "plasmashell", "xfce4-session", "xfwm4", "xfdesktop", "lxsession", "lxpanel", "openbox", "cinnamon",
    "mate-session", "marco", "sway", "weston", "nautilus-deskto", "update-notifier", "gnome-software", "tracker-miner-f",
})  # fmt: skip
"""As /proc/PID/comm has them: cut to 15 characters."""


def desktop_session(root: Path) -> dict[str, int]:
    """Name of a process → bytes that it holds and does not share, the largest first.

    Args:
        root: of the file system; `/` except in tests.
    """
    found: dict[str, int] = {}
    for directory in (root / "proc").glob("[0-9]*"):
        try:
            name = (directory / "comm").read_text(errors="replace").strip()
            if name in NAMES:
                found[name] = found.get(name, 0) + _anonymous((directory / "status").read_text(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _anonymous(status: str) -> int:
    """RssAnon (proc_pid_status(5))."""
    for line in status.splitlines():
        name, _, rest = line.partition(":")
        if name == "RssAnon":
            return int(rest.split()[0]) * KIB
    return 0
