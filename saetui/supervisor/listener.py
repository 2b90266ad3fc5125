"""The supervisor's socket: bound under a temporary name, renamed into place, and bound anew when it is gone."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from saetui.errors import HomeError
from saetui.home import SOCKET_LIMIT, Home

CHECK_SECONDS = 30.0
BACKLOG = 1024
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Accepts clients at the home's socket. Only the holder of the home's lock may have one."""

    def __init__(self, home: Home, serve: Serve) -> None:
        self._home = home
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._mark: tuple[int, int] | None = None

    async def open(self) -> None:
        """Listen.

        Raises:
            HomeError: the socket cannot be made there.
        """
        try:
            listening = self._bind()
        except OSError as error:
            raise HomeError(
                f"The socket {self._home.socket} cannot be made: {error.strerror or error}.",
                f"See that this user can write in {self._home.socket_directory}.",
            ) from error
        if self._server is not None:
            self._server.close()
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, backlog=BACKLOG)

    async def check(self) -> bool:
        """Bind anew when the socket is no longer ours; whether that was so."""
        if self._is_ours():
            return False
        await self.open()
        return True

    def close(self) -> None:
        """Accept nobody any more, and take the socket away."""
        if self._is_ours():
            self._home.socket.unlink()
        if self._server is not None:
            self._server.close()

    def _bind(self) -> socket.socket:
        self._home.make_socket_directory()
        temporary = self._home.socket.with_name(f"{self._home.socket.stem}.{os.getpid()}.tmp")
        if len(os.fsencode(temporary)) > SOCKET_LIMIT:
            raise OSError(f"its path is longer than {SOCKET_LIMIT} bytes")
        temporary.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(temporary))
        except OSError:
            listening.close()
            raise
        finally:
            os.umask(before)
        # Listening before it has its name: whoever finds it can connect.
        listening.listen(BACKLOG)
        self._mark = _mark(temporary)
        os.rename(temporary, self._home.socket)
        return listening

    def _is_ours(self) -> bool:
        return self._mark is not None and _mark(self._home.socket) == self._mark


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
