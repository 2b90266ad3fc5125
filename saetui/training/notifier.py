"""Tells the supervisor that a job's directory has changed, and never waits for an answer."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import msgspec

from saetui.protocol.framing import TO_SUPERVISOR_LIMIT, frame
from saetui.protocol.messages import DirectoryChanged, Hello

_TIMEOUT = 2.0
_RETRY_SECONDS = 2.0


class Notifier:
    """Sends hints from a thread of its own; a supervisor that is gone or slow costs the training nothing."""

    def __init__(self, path: Path, job: str) -> None:
        """`path`: of the supervisor's socket."""
        self._path = path
        self._job = job
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Send that the job's directory has changed; many calls in a row become one message."""
        self._changed.set()

    def close(self) -> None:
        """Leave, after the last hint where that is quick."""
        self._closed.set()
        self._changed.set()
        self._thread.join(timeout=_TIMEOUT)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                    connection.settimeout(_TIMEOUT)
                    connection.connect(str(self._path))
                    _send(connection, Hello(client="trainer", job=self._job))
                    self._send_changes(connection)
            except OSError:
                # The job's directory is the truth; the supervisor reads it whenever it is back.
                self._closed.wait(_RETRY_SECONDS)

    def _send_changes(self, connection: socket.socket) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            _send(connection, DirectoryChanged())
            if self._closed.is_set():
                return


def _send(connection: socket.socket, message: Hello | DirectoryChanged) -> None:
    connection.sendall(frame(msgspec.json.encode(message), TO_SUPERVISOR_LIMIT))
