"""One action on the storage, within its transaction: who acts, on what, and what they may.

Rules kept here:

- A path is looked up with as many statements whether it is there or not, and the actor's roles along it with one.
- What the actor may know nothing of is answered like what is not there.
- A refusal comes before the first change, so that the audit log's row can be committed with nothing else.
- An ``Operation`` is of one try: the database may undo a transaction and run it again, with another.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from fluxon.cloud import assignments, audit, paths, policy, quotas, refusals, tree
from fluxon.cloud.agent import Agent
from fluxon.cloud.entries import Change, Entry
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import Grant, Node
from fluxon.cloud.users import Named
from fluxon.errors import Unauthenticated

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

P = Permissions


@attrs.frozen
class Place:
    """Where a path leads: the rows from ``/`` on, as far as they are there, and what the actor may do at each."""

    parts: tuple[str, ...]
    rows: tuple[Any, ...]
    grants: tuple[Grant, ...]

    @property
    def is_there(self) -> bool:
        """Whether there is an item at the path, visible or not."""
        return len(self.rows) == len(self.parts) + 1

    @property
    def is_visible(self) -> bool:
        """Whether there is one that the actor may know of."""
        return self.is_there and bool(self.grants[-1].permissions)

    @property
    def item(self) -> Any:
        """The row of the item. Only where it ``is_there``."""
        return self.rows[-1]

    @property
    def grant(self) -> Grant:
        """What the actor may do there. Only where it ``is_there``."""
        return self.grants[-1]

    @property
    def path(self) -> tuple[str, ...]:
        """The path, with the names of what is there as they were given when it was made."""
        return tuple(row.name for row in self.rows[1:]) + self.parts[len(self.rows) - 1 :]

    @property
    def ids(self) -> list[int]:
        """The keys of the rows."""
        return [row.id for row in self.rows]

    def may(self, *permissions: Permissions) -> bool:
        """Whether the actor has one of these at the item, and it is there."""
        return self.is_there and any(each in self.grant.permissions for each in permissions)

    @property
    def parent(self) -> Place:
        """The place of the directory that the path is in."""
        count = len(self.parts)
        return Place(self.parts[:-1], self.rows[:count], self.grants[:count])


class Operation:
    """What one action knows and does."""

    def __init__(self, storage: Storage, connection: Any, agent: Agent, action: str, parts: tuple[str, ...]) -> None:
        self.storage = storage
        self.connection = connection
        self.agent = agent
        self.actor = agent.actor
        self.action = action
        #: What the action is about; shown in the log.
        self.path = parts
        self.item: Any = None
        self.details: dict[str, Any] = {}
        self.now: datetime = storage.now()
        self._user = None if agent.user_id is None else storage.users.find(connection, Named(id=agent.user_id))
        #: Whether the actor is still a user, if they were one when they logged in.
        self.is_user = agent.user_id is None or self._user is not None
        #: To be done after the commit.
        self.removed: list[str] = []
        self.changes: list[Change] = []

    def require_user(self) -> None:
        """Refuse somebody who was a user, and is deleted."""
        if not self.is_user:
            raise refusals.Refused(Unauthenticated("you are no user any more; log in again"))

    def log(self, outcome: str) -> None:
        """Write the audit log's row."""
        audit.write(
            self.connection,
            self.storage.draw(),
            self.agent,
            self.action,
            self.path,
            outcome,
            self.now,
            is_user=self.is_user,
            item=self.item,
            details=self.details,
        )

    def tell(self, path: tuple[str, ...], row: Any, source: tuple[str, ...] | None = None) -> None:
        """Have those who watch told, after the commit."""
        before = None if source is None else paths.join(source)
        self.changes.append(Change(self.action, paths.join(path), before, row.type, row.id, self.agent.name, self.now))

    # --- what the actor may ---------------------------------------------------------------------------------------

    def locate(self, parts: tuple[str, ...], *, main: bool = True) -> Place:
        """Look a path up, and what the actor may do along it. ``main``: it is what the action is about."""
        rows = (self.storage.root, *tree.resolve(self.connection, parts))
        # As many keys as the path has components: what is not there must not make the question shorter.
        ids = [row.id for row in rows] + [tree.NOWHERE] * (len(parts) + 1 - len(rows))
        held = self.held(ids)
        grants = [self.effective(None, rows[0], held)]
        for row in rows[1:]:
            grants.append(self.effective(grants[-1], row, held))
        for _ in range(len(parts) + 1 - len(rows)):
            self.of_new(grants[-1])  # for nothing: what is not there must not take less time
        place = Place(parts, rows, tuple(grants))
        if main:
            self.path = place.path
            self.item = place.item if place.is_there else None
        return place

    def held(self, ids: list[int]) -> dict[int, tuple[str, ...]]:
        """The actor's own roles at these items that are in force."""
        if self.actor.user_id is None:
            return {}
        return assignments.of_user(self.connection, self.actor.user_id, ids, self.now)

    def effective(self, above: Grant | None, row: Any, held: dict[int, tuple[str, ...]]) -> Grant:
        """What the actor may do at an item, ``above`` being what they may at its directory."""
        node = Node(row.id, row.creator_id is None, row.id == self.storage.root.id, held.get(row.id, ()))
        if above is None:
            return policy.effective(self.storage.rules, self.actor, [node])
        return policy.effective_below(self.storage.rules, self.actor, above, node)

    def of_new(self, directory: Grant) -> Grant:
        """What the actor could do at something that they made in a directory."""
        node = Node(tree.NOWHERE, self.agent.user_id is None)
        return policy.effective_below(self.storage.rules, self.actor, directory, node)

    def unknown(self, place: Place) -> refusals.Refused:
        """The refusal for what is not there, and for what the actor may not know of."""
        for row, grant in reversed(list(zip(place.rows, place.grants, strict=True))[: len(place.parts)]):
            if row.type == tree.DIRECTORY and grant.permissions:
                return refusals.missing() if P.READ_TREE_DIRECTORY in grant.permissions else refusals.hidden()
        return refusals.hidden()

    def require(self, place: Place, *permissions: Permissions) -> Any:
        """The row of the item, at which the actor has one of these permissions; refuses otherwise."""
        if not place.is_visible:
            raise self.unknown(place)
        if not place.may(*permissions):
            raise refusals.denied(*permissions)
        return place.item

    def require_directory(self, place: Place, permission: Permissions) -> Any:
        """The row of a directory, at which the actor has this permission; refuses otherwise."""
        if place.is_visible and place.item.type != tree.DIRECTORY:
            raise refusals.no_directory()
        return self.require(place, permission)

    def require_free(self, place: Place, permission: Permissions) -> Any:
        """The row of the directory in which a new item may be made at ``place``; refuses otherwise."""
        if not place.parts:
            raise refusals.taken()
        directory = self.require_directory(place.parent, permission)
        if place.is_there:
            raise refusals.taken()
        return directory

    def grants_below(self, place: Place) -> Iterable[tuple[str, Grant]]:
        """What the actor may do at the items in a tree, the top included: kinds of items, and rights they have.

        One statement, however many items there are; as many results as there are different rights.
        """
        rows = tree.anchors(self.connection, place.item.id, self.actor.user_id)
        by_anchor = {row.anchor: row for row in rows}
        held = self.held([each for each in by_anchor if each > 0])
        known: dict[int, Grant] = {place.item.id: place.grant}
        for anchor in by_anchor:
            self._grant_of(anchor, by_anchor, held, known)
        return {(row.type, known[row.anchor]) for row in rows}

    def _grant_of(
        self, anchor: int, rows: dict[int, Any], held: dict[int, tuple[str, ...]], known: dict[int, Grant]
    ) -> None:
        # From an anchor up to one that is known, and down again: trees may be deep, so without recursion.
        way = []
        while anchor not in known:
            way.append(anchor)
            anchor = rows[anchor].above if anchor > 0 else tree.NOWHERE
            if anchor == tree.NOWHERE or (anchor not in rows and anchor not in known):
                break
        for each in reversed(way):
            row = rows[each]
            node = Node(each, bool(row.admins), False, held.get(each, ()))
            above = known.get(row.above, policy.Grant(policy.NONE, policy.NONE, "default"))
            known[each] = policy.effective_below(self.storage.rules, self.actor, above, node)

    # --- what it answers ------------------------------------------------------------------------------------------

    def entry(self, row: Any, path: tuple[str, ...]) -> Entry:
        """One item."""
        return self.entries([(row, path)])[0]

    def entries(self, found: list[tuple[Any, tuple[str, ...]]]) -> list[Entry]:
        """Rows and paths as what callers get."""
        names = self._names({row.creator_id for row, _ in found})
        return [
            Entry(
                id=row.id,
                name=row.name,
                path=paths.join(path),
                type=row.type,
                size=row.size,
                version=row.version,
                sha256=row.sha256,
                creator_id=row.creator_id,
                creator_name=names.get(row.creator_id),
                created_at=row.created_at,
                modified_at=row.modified_at,
            )
            for row, path in found
        ]

    def _names(self, ids: set[Any]) -> dict[Any, str]:
        """The names of users; the actor's own is known."""
        known = {} if self._user is None else {self._user.id: self._user.name}
        return known | self.storage.users.names(self.connection, ids - known.keys())

    # --- what is kept ---------------------------------------------------------------------------------------------

    def room(self, creator_id: Any, directories: list[int], more: int) -> Room:
        """The quotas that ``more`` bytes of a creator count in; refuses if they do not fit."""
        return Room(self, creator_id, directories, more)


class Room:
    """The quotas that a file's bytes count in: its creator's, and those of the directories that it is in."""

    def __init__(self, operation: Operation, creator_id: Any, directories: list[int], more: int) -> None:
        self._operation = operation
        self._creator_id = creator_id
        connection = operation.connection
        self._user = None if creator_id is None else quotas.of_user(connection, creator_id)
        self._directories = quotas.of_directories(connection, directories)
        if more > 0:
            self._check(more)

    def _check(self, more: int) -> None:
        user, agent = self._user, self._operation.agent
        if self._creator_id is not None:
            limit = quotas.limit_of(user, self._operation.storage.options.user_quota)
            used, replaced = (0, 0) if user is None else (user.used, user.replaced)
            if limit is not None and used + more > limit:
                own = agent.admin or agent.user_id == self._creator_id
                # How much somebody else keeps is not everybody's to know.
                raise (
                    refusals.over_quota("the file's creator", limit, used, replaced, more)
                    if own
                    else (refusals.over_other_quota())
                )
        for row in self._directories:
            limit = quotas.limit_of(row, None)
            if limit is not None and row.used + more > limit:
                raise refusals.over_quota("a directory that it is in", limit, row.used, row.replaced, more)

    def count(self, change: quotas.Change) -> None:
        """Count what was kept more, or less."""
        connection = self._operation.connection
        rows = list(self._directories)
        if self._user is not None:
            rows.append(self._user)
        elif self._creator_id is not None:
            quotas.make(
                connection,
                self._operation.storage.draw(),
                user_id=self._creator_id,
                limit=None,
                used=quotas.Usage(change.used, change.replaced, None),
            )
        quotas.add(connection, rows, change)
