"""One action on the storage, within its transaction: who acts, on what, and what they may.

Rules kept here:

- A path is looked up with as many statements whether it is there or not, and the actor's roles along it with one. Of
  the way to it, what the memo knows is not looked up; that depends on what its own directory is, and not on it.
- What the actor may know nothing of is answered like what is not there.
- A refusal comes before the first change, so that the audit log's row can be committed with nothing else.
- An ``Operation`` is of one try: the database may undo a transaction and run it again, with another.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fluxon.cloud import assignments, audit, paths, policy, quotas, refusals, tree
from fluxon.cloud.agent import Agent
from fluxon.cloud.entries import Change, Entry
from fluxon.cloud.memo import Memo
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.place import Place
from fluxon.cloud.policy import Grant, Node
from fluxon.cloud.room import Room
from fluxon.cloud.users import Named, User
from fluxon.errors import Unauthenticated

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

P = Permissions

#: So many assignments of one user are read at once, and known from then on; of more only those that are asked for.
_FEW = 32
_MANY: dict[int, list[Any]] = {}


class Operation:
    """What one action knows and does. ``memo`` is of ``connection``, and holds until the action changes anything."""

    def __init__(
        self,
        storage: Storage,
        connection: Any,
        agent: Agent,
        action: str,
        parts: tuple[str, ...],
        memo: Memo | None = None,
    ) -> None:
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
        self._memo = Memo() if memo is None else memo
        self._user = None if agent.user_id is None else self._find_user(agent.user_id)
        #: Whether the actor is still a user, if they were one when they logged in.
        self.is_user = agent.user_id is None or self._user is not None
        #: To be done after the commit.
        self.removed: list[str] = []
        self.changes: list[Change] = []

    def _find_user(self, user_id: Any) -> User | None:
        user = self._memo.known("user", user_id)
        if user is None:
            user = self.storage.users.find(self.connection, Named(id=user_id))
            if user is not None:
                self._memo.note(user, "user", user_id)
        return user  # type: ignore[no-any-return]

    def require_user(self) -> None:
        """Refuse somebody who was a user, and is deleted."""
        if not self.is_user:
            raise refusals.Refused(Unauthenticated("you are no user any more; log in again"))

    def logged(self, outcome: str) -> dict[str, Any]:
        """The audit log's row, for ``audit.write``."""
        return audit.row(
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
        way = self._way(parts)
        if way is None:
            rows, grants = (self.storage.root, *tree.resolve(self.connection, parts)), []
        else:
            row = tree.child(self.connection, way.item.id, parts[-1])
            rows, grants = way.rows if row is None else (*way.rows, row), list(way.grants)
        # As many keys as the path has components: what is not there must not make the question shorter.
        missing = len(parts) + 1 - len(rows)
        assigned = self._assigned([row.id for row in rows[len(grants) :]] + [tree.NOWHERE] * missing)
        held = assignments.names_of(assigned, self.now)
        for row in rows[len(grants) :]:
            grants.append(self.effective(grants[-1] if grants else None, row, held))
        for _ in range(missing):
            self.of_new(grants[-1])  # for nothing: what is not there must not take less time
        place = Place(parts, rows, tuple(grants))
        if way is None and parts and not any(map(assignments.is_limited, assigned)):
            self._note_way(place.parent)
        if main:
            # As it was asked for if it cannot be a path any more: whoever reads the log takes it for one.
            self.path = place.path if paths.fits(place.path) else parts
            self.item = place.item if place.is_there else None
        return place

    def _way(self, parts: tuple[str, ...]) -> Place | None:
        """The directory that a path is in, if the memo has it."""
        if not parts:
            return None
        return self._memo.known("way", self.actor.is_admin, self.actor.user_id, parts[:-1])  # type: ignore[no-any-return]

    def _note_way(self, place: Place) -> None:
        if place.is_visible and place.item.type == tree.DIRECTORY:
            self._memo.note(place, "way", self.actor.is_admin, self.actor.user_id, place.parts)

    def held(self, ids: list[int]) -> dict[int, tuple[str, ...]]:
        """The actor's own roles at these items that are in force."""
        return assignments.names_of(self._assigned(ids), self.now)

    def _assigned(self, ids: list[int]) -> list[Any]:
        """What was assigned to the actor at these items, in force or not."""
        user_id = self.actor.user_id
        if user_id is None:
            return []
        few = self._few_assigned(user_id) if self._memo.lasts else None
        if few is None:
            return assignments.rows_of_user(self.connection, user_id, ids)
        return [row for each in ids for row in few.get(each, ())]

    def _few_assigned(self, user_id: Any) -> dict[int, list[Any]] | None:
        """Whatever was assigned to a user, by item; None: that is much."""
        few = self._memo.known("assigned", user_id)
        if few is None:
            rows = assignments.everywhere(self.connection, user_id, _FEW + 1)
            few = self._memo.note(_by_item(rows) if len(rows) <= _FEW else _MANY, "assigned", user_id)
        return None if few is _MANY else few

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
                if P.READ_TREE_DIRECTORY not in grant.permissions:
                    break
                return refusals.missing(is_hidden=not place.grants[-1].permissions)
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
        self.require_short(place)
        return directory

    def require_short(self, place: Place) -> None:
        """Refuse a path that is too long with the names as they were given, which case may have made longer."""
        if not paths.fits(place.path):
            raise refusals.too_long()

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

    def has_directory_quotas(self) -> bool:
        """Whether any directory has a quota."""
        known: bool | None = self._memo.known("directory quotas")
        return self._memo.note(quotas.any_directory(self.connection), "directory quotas") if known is None else known

    def room(self, creator_id: Any, directory: Place, more: int) -> Room:
        """The quotas that ``more`` bytes of a creator in a directory count in; refuses if they do not fit."""
        return Room(self, creator_id, directory, more)


def _by_item(rows: list[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.item_id, []).append(row)
    return found
