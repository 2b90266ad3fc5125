"""The way to the supervisor's socket, and the process at its other end."""

from __future__ import annotations

import os
import socket
import struct
import time

from saetui.errors import SupervisorError
from saetui.home import Home
from saetui.sockets import is_private

CONNECT_SECONDS = 10.0
BUSY_SECONDS = 0.01


class NotRunning(SupervisorError):
    """No supervisor listens at the home's socket."""


def connect_socket(home: Home) -> socket.socket:
    """A connected socket.

    Raises:
        NotRunning: nobody listens there.
        SupervisorError: another user listens there.
    """
    path = home.socket
    not_running = NotRunning(f"No supervisor runs for {home.root}.", "`saetui` starts one.")
    if not is_private(path.parent):
        # It does not exist yet, or another user took the name: then no socket in it is ours.
        raise not_running
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(CONNECT_SECONDS)
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            connected.connect(str(path))
            break
        except OSError as error:
            if isinstance(error, BlockingIOError) and time.monotonic() < deadline:
                # It listens, but more clients arrive than it has accepted yet.
                time.sleep(BUSY_SECONDS)
                continue
            connected.close()
            raise not_running from error
    _, user = _peer(connected)
    if user != os.getuid():
        connected.close()
        raise SupervisorError(f"{path} belongs to user {user}.", "Remove it, or set SAETUI_HOME elsewhere.")
    return connected


def listener_pid(connected: socket.socket) -> int:
    """The process that listens at the other end, also before it has accepted the connection."""
    return _peer(connected)[0]


def _peer(connected: socket.socket) -> tuple[int, int]:
    """Process and user of the other end."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _ = struct.unpack("3i", credentials)
    return process, user
