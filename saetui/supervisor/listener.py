"""The supervisor's socket: bound under a temporary name, renamed into place, and bound anew when it is gone.

File descriptors are few: the number of clients is limited, and one descriptor is kept to turn the next client away with.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import math
import os
import resource
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from saetui.errors import Busy, HomeError
from saetui.home import Home
from saetui.protocol.framing import TO_CLIENT_LIMIT, encode, failure_of
from saetui.sockets import SOCKET_LIMIT
from saetui.supervisor.background import Background

CHECK_SECONDS = 30.0
BACKLOG = 1024

ACCEPTED_AT_ONCE = 64
"""Clients that are accepted in one go, before others are served."""

PAUSE_SECONDS = 0.2
"""For how long no client is accepted after the system refused a descriptor."""

QUIET_SECONDS = 60.0
"""How often it is logged that clients are turned away."""

READ_LIMIT = 1 << 16
"""Bytes of a client that wait to be read; asyncio reads no further then."""

CLIENT_LIMIT = 500
"""Clients at once: enough for any use, and descriptors are left for the jobs (a process often has 1024)."""

KEPT_FREE = 40
"""Descriptors for everything else: the store, the start of a runner, two for each running job, drivers, threads."""

FEWEST_CLIENTS = 8

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
log = logging.getLogger(__name__)


def client_limit() -> int:
    """How many clients may be connected at once under this process's limit of descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CLIENT_LIMIT
    return max(FEWEST_CLIENTS, min(CLIENT_LIMIT, soft - KEPT_FREE))


class Reserve:
    """One descriptor that is kept for the moment when no other is left."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.fill()

    def fill(self) -> bool:
        """Open the descriptor, unless it is open; False where the system refuses it."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return False
        return True

    def spend(self) -> bool:
        """Close the descriptor, so that the next call can have it; False where it was not open."""
        if self._descriptor is None:
            return False
        os.close(self._descriptor)
        self._descriptor = None
        return True


class Listener:
    """Accepts clients at the home's socket. Only the holder of the home's lock may have one.

    It does not use asyncio's accept loop: without descriptors, that goes through the whole backlog and answers nobody.
    """

    def __init__(self, home: Home, serve: Serve) -> None:
        """`serve` talks to one client until the client has gone."""
        self._home = home
        self._serve = serve
        self._client_limit = client_limit()
        self._clients = 0
        self._background = Background()
        self._reserve = Reserve()
        self._listening: socket.socket | None = None
        self._socket: Path | None = None
        self._mark: tuple[int, int] | None = None
        self._directory_lock: int | None = None
        self._logged_at = -math.inf

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
                f"Give this user the right to write in {self._home.socket_directory}.",
            ) from error
        self._stop_listening()
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    async def check(self) -> bool:
        """Bind anew when the socket is no longer ours. Returns whether that was so."""
        if self._is_ours():
            self._refresh()
            return False
        await self.open()
        return True

    def close(self) -> None:
        """Accept no client any more, and remove the socket."""
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
            if self._clients < self._client_limit:
                self._clients += 1
                self._background.once("a client's connection", self._serve_client(connected))
            else:
                self._turn_away(connected, "The supervisor has as many clients as it can serve.")

    async def _serve_client(self, connected: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(READ_LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connected)
            await self._serve(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        finally:
            self._clients -= 1

    def _accept_later(self, listening: socket.socket, error: OSError) -> None:
        """Accept no client for a moment. Turn those that wait away, one after the other, with the reserved descriptor."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(PAUSE_SECONDS, self._accept_again, listening)
        if error.errno not in _OUT_OF_DESCRIPTORS:
            log.error("no client can be accepted: %s", error)
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
        if now - self._logged_at > QUIET_SECONDS:
            self._logged_at = now
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
        # Listening before it has its name: whoever finds the socket can connect.
        listening.listen(BACKLOG)
        self._mark = _mark(temporary)
        os.rename(temporary, path)
        self._socket = path
        return listening

    def _is_ours(self) -> bool:
        """Whether clients find this socket at the home's path."""
        return self._socket is not None and self._socket == self._home.socket and _mark(self._socket) == self._mark

    def _protect(self, directory: Path) -> None:
        """Keep systemd-tmpfiles, which removes from /tmp what has not been touched for ten days, from the directory.

        It spares a socket on which somebody listens, but looks for the name under which the socket was bound, and ours was
        renamed. It passes over a directory whose BSD lock it cannot get (tmpfiles.d(5), dir_cleanup in tmpfiles.c). The
        lock is shared, since other homes have their sockets there too.
        """
        self._release_directory()
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            log.warning("%s cannot be locked: %s", directory, error)
            return
        self._directory_lock = descriptor
        self._refresh()

    def _refresh(self) -> None:
        """Hold the lock, and look new to other programs that remove old files from /tmp. Repeated with every check."""
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
        # It is gone, or is another user's by now.
        return None
    return found.st_dev, found.st_ino
