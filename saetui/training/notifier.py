"""The trainer's line to the supervisor: it says "look now", and never waits for an answer."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import msgspec

from saetui.protocol.messages import DirectoryChanged, Hello

_TIMEOUT = 2.0
_RETRY_SECONDS = 2.0


class Line:
    """Sends hints from a thread of its own; a supervisor that is gone or slow costs the training nothing."""

    def __init__(self, path: Path, job: str) -> None:
        self._path = path
        self._job = job
        self._news = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Say that the job's directory has news; many in a row become one."""
        self._news.set()

    def close(self) -> None:
        """Leave, after the last hint where that is quick."""
        self._closed.set()
        self._news.set()
        self._thread.join(timeout=_TIMEOUT)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with self._connect() as connection:
                    self._serve(connection)
            except OSError:
                # The job's directory is the truth; the supervisor reads it whenever it is back.
                self._closed.wait(_RETRY_SECONDS)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(str(self._path))
            _send(connection, Hello(client="trainer", job=self._job))
        except OSError:
            connection.close()
            raise
        return connection

    def _serve(self, connection: socket.socket) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            _send(connection, DirectoryChanged())
            if self._closed.is_set():
                return


def _send(connection: socket.socket, message: Hello | DirectoryChanged) -> None:
    data = msgspec.json.encode(message)
    connection.sendall(len(data).to_bytes(4, "big") + data)
