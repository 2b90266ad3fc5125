"""The client's end of the socket, before anything is said on it."""

from __future__ import annotations

import os
import socket
import struct
import time

from saetui.errors import ProtocolError, SupervisorError
from saetui.home import Home
from saetui.protocol.framing import error_of
from saetui.protocol.messages import Failure, FromSupervisor, Goodbye, Welcome
from saetui.sockets import is_private

CONNECT_SECONDS = 10.0
BUSY_SECONDS = 0.01


def connect_socket(home: Home) -> socket.socket | None:
    """A connected socket; None when nobody listens there.

    Raises:
        SupervisorError: another user listens there.
    """
    path = home.socket
    if not is_private(path.parent):
        # Not there yet, or taken by somebody else, whose socket is none of ours whatever its name.
        return None
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(CONNECT_SECONDS)
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            connected.connect(str(path))
            break
        except BlockingIOError:
            # It listens, but more clients are coming than it has taken in yet.
            if time.monotonic() > deadline:
                connected.close()
                return None
            time.sleep(BUSY_SECONDS)
        except OSError:
            connected.close()
            return None
    _, user = _peer(connected)
    if user != os.getuid():
        connected.close()
        raise SupervisorError(f"{path} belongs to user {user}.", "Remove it, or set SAETUI_HOME elsewhere.")
    return connected


def listener_pid(connected: socket.socket) -> int:
    """The process that listens at the other end, whether it has taken the connection yet or not."""
    return _peer(connected)[0]


def _peer(connected: socket.socket) -> tuple[int, int]:
    """Process and user of the other end."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _ = struct.unpack("3i", credentials)
    return process, user


def not_running(home: Home) -> SupervisorError:
    """What is said when there is no supervisor and none shall be started."""
    return SupervisorError(f"No supervisor runs for {home.root}.", "`saetui` starts one.")


class ConnectionLost(SupervisorError):
    """The other end is gone."""


def lost() -> ConnectionLost:
    """What is said when the other end is gone."""
    return ConnectionLost("The connection to the supervisor was lost.", "Trainings go on; try again.")


def welcomed(message: FromSupervisor) -> Welcome:
    """The supervisor's answer to the greeting.

    Raises:
        SaetuiError: it refused; most of all ProtocolError when the versions do not fit.
    """
    if isinstance(message, Welcome):
        return message
    if isinstance(message, Failure):
        raise error_of(message)
    if isinstance(message, Goodbye):
        raise SupervisorError(message.reason, "Try again.")
    raise ProtocolError("The supervisor did not answer the greeting.", "Run `saetui supervisor stop` and try again.")
