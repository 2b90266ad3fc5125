"""What all clients together may make the supervisor keep in memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

LIMIT = 48 << 20
"""Bytes that wait for or come from all clients together; each alone has a limit of its own, but there may be hundreds."""

UNNOTICED = 256 << 10
"""Bytes that a client may hold without being looked at: what one that keeps up never has."""


class Member(Protocol):
    """A client, as its memory is seen."""

    @property
    def held(self) -> int:
        """Bytes that are kept for it, either way; 0 once its connection has ended."""

    def cut(self, reason: str) -> None:
        """End its connection at once."""


class Crowd:
    """Cuts off who holds the most while all hold too much: it connects again if it lives."""

    def __init__(self, members: Collection[Member], limit: int = LIMIT) -> None:
        """`members`: all clients, as they come and go. `limit`: bytes."""
        self._members = members
        self._limit = limit

    def grown(self, member: Member) -> None:
        """A member holds more than before."""
        if member.held <= UNNOTICED:
            return
        held = {other: other.held for other in self._members}
        total = sum(held.values())
        while total > self._limit:
            greediest = max(held, key=lambda other: held[other])
            total -= held.pop(greediest)
            greediest.cut("all clients together hold too much memory")
