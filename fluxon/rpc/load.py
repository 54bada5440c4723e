"""How much all connections of a port have under way."""

from __future__ import annotations


class Load:
    """Requests that wait for their result, ``limit`` at most; the last ``kept``-th part of them is for those who have
    nothing else under way. However busy a few connections are, another one's request is begun.
    """

    __slots__ = ("_count", "_limit", "_many", "crowded")

    def __init__(self, limit: int, kept: int) -> None:
        self._limit = limit
        self._many = max(1, limit - limit // kept)
        self._count = 0
        #: Whether not everybody may begin something.
        self.crowded = False

    @property
    def count(self) -> int:
        """How many wait for their result now."""
        return self._count

    def takes(self, alone: bool) -> bool:
        """Whether one may begin that is ``alone``: the only one of its connection."""
        return self._count < (self._limit if alone else self._many)

    def begin(self) -> None:
        """One more has to wait for its result."""
        self._count += 1
        self.crowded = self._count >= self._many

    def end(self) -> None:
        """One has its result."""
        self._count -= 1
        self.crowded = self._count >= self._many
