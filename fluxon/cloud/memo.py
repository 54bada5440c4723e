"""What was read of the database a moment ago and is still so: who a user is, what they were given, ways that lead down.

Rules kept here:

- Nothing is kept for a time. What one connection read is good as long as its ``state()`` says that nothing which it
  sees has changed, by itself or by anybody, in this process or another. A database that cannot tell has no memo.
- An act that changed something is followed by a new memo, unless it promised to leave alone what is here
  (``Memo.keep``): directories, users, assignments, and which directories have quotas.
- A way is kept only if all of it is directories that the actor may know of, and if no time bounds what they may do
  there: what is hidden, and what is not there, take the same work each time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

#: Entries of one kind: some hundred bytes each, and a connection of the reading threads has a memo, too.
MOST = 1_000


class Memo:
    """What is known of the database in one ``state`` of it."""

    def __init__(self, state: Hashable | None = None) -> None:
        self.state = state
        self._known: dict[Hashable, Any] = {}

    @property
    def lasts(self) -> bool:
        """Whether what is noted will be known later."""
        return self.state is not None

    def known(self, *key: Hashable) -> Any:
        """What was kept as ``key``, or None."""
        return self._known.get(key)

    def note(self, value: T, *key: Hashable) -> T:
        """Keep ``value``, which is not None, as ``key``."""
        if self.lasts:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = value
        return value

    def keep(self, connection: Any) -> None:
        """What was changed on ``connection`` since ``state`` is nothing that is kept here."""
        self.state = connection.state()


class Memos:
    """The memos of a storage, one for each connection of its database. Any thread may ask, for its own connection."""

    def __init__(self) -> None:
        self._all: WeakKeyDictionary[Any, Memo] = WeakKeyDictionary()

    def of(self, connection: Any) -> Memo:
        """What is known and holds at this moment; within a transaction, until something is changed."""
        state = connection.state()
        memo = self._all.get(connection)
        if memo is None or memo.state != state or state is None:
            memo = self._all[connection] = Memo(state)
        return memo
