"""``Filesystem``: the cloud's items for a program, in views of either kind and in scripts.

Rules kept here:

- Each call follows ``fluxon.blocking``: on the reactor's thread it returns something to await, elsewhere the result.
- Whoever is not named as ``user`` is the administration, and the audit log says so.
- A call is a transaction of its own: within ``database.transaction()`` it raises ``RuntimeError``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from fluxon.cloud import snapshots
from fluxon.cloud.acting import ABSENT, agent_of
from fluxon.cloud.agent import Agent
from fluxon.cloud.calling import Calls
from fluxon.cloud.items import Directory, File, Item, encoded, item_of
from fluxon.cloud.snapshots import ActionSeen
from fluxon.cloud.storage import Storage
from fluxon.sessions.user import AuthenticatedUser

__all__ = ["Action", "Directory", "File", "Filesystem", "Item"]


class Action:
    """One row of the audit log."""

    def __init__(self, filesystem: Filesystem, seen: ActionSeen) -> None:
        row = seen.action
        #: Who did it; their name alone if they are no user any more, "Admin" for the administration.
        self.user: AuthenticatedUser | str = seen.user or row.user
        #: The name by which they were known then.
        self.username: str = row.user
        #: What it was done with, as it is now.
        self.item: Item = item_of(filesystem, seen.item)
        #: ``"read"``, ``"write"``, ``"delete"``, ``"assign_role"`` …
        self.action_type: str = row.action_type
        self.timestamp: datetime = row.timestamp
        #: The path as it was then.
        self.path: str = row.path
        #: ``"ok"``, or the code of the error.
        self.outcome: str = row.outcome
        self.allowed: bool = row.allowed
        self.address: str | None = row.address
        self.details: dict[str, Any] = json.loads(row.details) if row.details else {}

    def __repr__(self) -> str:
        return f"<{self.action_type} {self.path} by {self.username}: {self.outcome}>"


class Actions(list[Action]):
    """Actions, and where to go on: give ``next`` as ``after``. None: there are no more."""

    next: str | None = None


class Filesystem:
    """The items of a storage. ``Filesystem(Calls(storage))`` is one for a script."""

    Item: ClassVar[type[Item]] = Item
    File: ClassVar[type[File]] = File
    Directory: ClassVar[type[Directory]] = Directory
    Action: ClassVar[type[Action]] = Action

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def path(self, path: Any) -> Any:
        """What is at a path: a ``File``, a ``Directory``, or an ``Item`` that does not exist.

        This only looks, with nobody's rights, and leaves no row in the audit log.
        """
        return self._perform(lambda storage: item_of(self, snapshots.at(storage, path)))

    def create_file(self, path: Any, *, user: Any = ABSENT) -> Any:
        """A new empty file."""
        return self._one(lambda storage, agent: storage.make_file(agent, path), user)

    def create_directory(self, path: Any, *, parents: bool = False, user: Any = ABSENT) -> Any:
        """A new directory; with ``parents`` those above it too, and none that is there is an error."""
        return self._one(lambda storage, agent: storage.make_directory(agent, path, parents), user)

    def write(
        self,
        path: Any,
        content: str | bytes,
        *,
        create: bool = True,
        if_version: int | None = None,
        lock: str | None = None,
        user: Any = ABSENT,
    ) -> Any:
        """Make ``content`` that of the file at a path, which is made if it is not there; the file."""
        data = encoded(content)
        return self._one(
            lambda storage, agent: storage.write(agent, path, data, create=create, if_version=if_version, lock=lock),
            user,
        )

    def audit_logs(
        self,
        path: Any = "/",
        *,
        of: Any = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
        limit: int = 1_000,
        user: Any = ABSENT,
    ) -> Any:
        """What was done at a path and below it, the newest first: a list of ``Action``s with a ``next``.

        ``of``: what this user did: ``request.user``, a row, a key or a username. ``since`` and ``until`` are moments.
        """
        return self._log(path, None, since, until, after, limit, user, of=of)

    def usage(self, of: Any, *, user: Any = ABSENT) -> Any:
        """How many bytes a user keeps, and may keep, as a ``Usage``."""
        agent = agent_of(user)
        return self._perform(lambda storage: storage.usage(agent, user=of))

    def set_quota(self, of: Any, limit: int | None) -> Any:
        """How many bytes a user may keep; None: what ``Setup`` says, ``quotas.UNLIMITED``: any number."""
        agent = agent_of()
        return self._perform(lambda storage: storage.set_quota(agent, limit, user=of))

    def _log(
        self,
        path: Any,
        item_id: int | None,
        since: datetime | None,
        until: datetime | None,
        after: str | None,
        limit: int,
        user: Any,
        *,
        of: Any = None,
        newest_first: bool = True,
    ) -> Any:
        agent = agent_of(user)

        def read(storage: Storage) -> Actions:
            page = storage.log(
                agent, path, user=of, since=since, until=until, after=after, limit=limit, item_id=item_id
            )
            found = Actions(Action(self, seen) for seen in snapshots.of_actions(storage, page.entries))
            found.next = page.next
            if not newest_first:
                found.reverse()
            return found

        return self._perform(read)

    def _one(self, work: Callable[[Storage, Agent], Any], user: Any) -> Any:
        agent = agent_of(user)
        return self._perform(lambda storage: item_of(self, snapshots.of_entries(storage, [work(storage, agent)])[0]))

    def _perform(self, work: Callable[[Storage], Any]) -> Any:
        storage = self._calls.storage
        return self._calls.perform(lambda: work(storage))
