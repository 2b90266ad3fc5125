"""The supervisor's socket: bound under a temporary name, renamed into place, and bound anew when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from saetui.errors import Busy, HomeError
from saetui.home import Home
from saetui.protocol.framing import TO_CLIENT_LIMIT, encode, failure_of
from saetui.sockets import SOCKET_LIMIT
from saetui.supervisor.background import Background
from saetui.supervisor.descriptors import Reserve

CHECK_SECONDS = 30.0
BACKLOG = 1024

ACCEPTED_AT_ONCE = 64
"""Clients that are taken in one go, before the others have their turn."""

PAUSE_SECONDS = 0.2
"""How long nobody is taken in after the system refused to give a descriptor."""

QUIET_SECONDS = 60.0
"""How often it is logged that clients are turned away."""

READ_LIMIT = 1 << 16
"""Bytes of a client that wait to be looked at; asyncio reads no further then."""

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
log = logging.getLogger(__name__)


class Listener:
    """Accepts clients at the home's socket. Only the holder of the home's lock may have one.

    It accepts by itself: asyncio's own loop goes through the whole backlog when descriptors are out, and leaves clients
    without a word.
    """

    def __init__(self, home: Home, serve: Serve, most_clients: int) -> None:
        """
        Args:
            home: whose socket.
            serve: talks to one client until it has gone.
            most_clients: at once; whoever comes beyond is turned away with a word.
        """
        self._home = home
        self._serve = serve
        self._most_clients = most_clients
        self._clients = 0
        self._background = Background()
        self._reserve = Reserve()
        self._listening: socket.socket | None = None
        self._socket: Path | None = None
        self._mark: tuple[int, int] | None = None
        self._directory_lock: int | None = None
        self._said_at = -math.inf

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
        self._stop_listening()
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    async def check(self) -> bool:
        """Bind anew when the socket is no longer ours; whether that was so."""
        if self._is_ours():
            self._stay_young()
            return False
        await self.open()
        return True

    def close(self) -> None:
        """Accept nobody any more, and take the socket away."""
        if self._socket is not None and self._is_ours():
            with contextlib.suppress(OSError):
                self._socket.unlink()
        self._stop_listening()
        self._release_directory()

    def _stop_listening(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connected, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._accept_later(listening, error)
                return
            connected.setblocking(False)
            if self._clients < self._most_clients:
                self._clients += 1
                self._background.once("a client's connection", self._take(connected))
            else:
                self._turn_away(connected, "The supervisor has as many clients as it can take.")

    async def _take(self, connected: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(READ_LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connected)
            await self._serve(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        finally:
            self._clients -= 1

    def _accept_later(self, listening: socket.socket, error: OSError) -> None:
        """Let the system recover. Who waits is told, one after the other, with the descriptor that is kept for that."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(PAUSE_SECONDS, self._accept_again, listening)
        if error.errno not in _OUT_OF_DESCRIPTORS:
            log.error("no client can be taken in: %s", error)
        while error.errno in _OUT_OF_DESCRIPTORS and self._reserve.spend():
            with contextlib.suppress(OSError):
                connected, _ = listening.accept()
                connected.setblocking(False)
                self._turn_away(connected, "The supervisor has no file descriptor left for another client.")
                if self._reserve.fill():
                    continue
            break
        self._reserve.fill()

    def _accept_again(self, listening: socket.socket) -> None:
        if listening is self._listening:
            self._reserve.fill()
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _turn_away(self, connected: socket.socket, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._said_at > QUIET_SECONDS:
            self._said_at = now
            log.warning("clients are turned away: %s", reason)
        refusal = Busy(reason, "Close some of its clients, or give it more files (ulimit -n), and try again.")
        with connected, contextlib.suppress(OSError):
            connected.send(encode(failure_of(refusal), TO_CLIENT_LIMIT))

    def _bind(self) -> socket.socket:
        self._protect(self._home.make_socket_directory())
        path = self._home.socket
        temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
        if len(os.fsencode(temporary)) > SOCKET_LIMIT:
            raise OSError(f"its path is longer than {SOCKET_LIMIT} bytes")
        temporary.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.setblocking(False)
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
        os.rename(temporary, path)
        self._socket = path
        return listening

    def _is_ours(self) -> bool:
        """Whether clients that look for the socket find this one."""
        return self._socket is not None and self._socket == self._home.socket and _mark(self._socket) == self._mark

    def _protect(self, directory: Path) -> None:
        """Keep systemd-tmpfiles from the directory, which removes from /tmp what has not been touched for ten days.

        It spares a socket on which somebody listens, but knows it by the name under which it was bound, and ours was
        renamed. It passes over a directory whose BSD lock it cannot get (tmpfiles.d(5), dir_cleanup in tmpfiles.c); the
        lock is shared, since other homes have their sockets there too.
        """
        self._release_directory()
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            log.warning("%s cannot be locked: %s", directory, error)
            return
        self._directory_lock = descriptor
        self._stay_young()

    def _stay_young(self) -> None:
        """Hold the lock, and look new to whatever else removes old files from /tmp. Both are tried again with every check."""
        with contextlib.suppress(OSError):
            if self._directory_lock is not None:
                fcntl.flock(self._directory_lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                os.utime(self._directory_lock)
            if self._socket is not None:
                os.utime(self._socket, follow_symlinks=False)

    def _release_directory(self) -> None:
        if self._directory_lock is not None:
            os.close(self._directory_lock)
            self._directory_lock = None


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        # Gone, or somebody else's by now.
        return None
    return found.st_dev, found.st_ino
