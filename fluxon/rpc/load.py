"""How much all connections of a server have under way."""

from __future__ import annotations


class Load:
    """Requests being worked on over all connections of a server: ``limit`` at most are begun."""

    __slots__ = ("_count", "_limit", "full")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        #: Whether no more may begin.
        self.full = False

    @property
    def count(self) -> int:
        """How many wait for their result now."""
        return self._count

    def begin(self) -> None:
        """One more has to wait for its result."""
        self._count += 1
        self.full = self._count >= self._limit

    def end(self) -> None:
        """One has its result."""
        self._count -= 1
        self.full = self._count >= self._limit
