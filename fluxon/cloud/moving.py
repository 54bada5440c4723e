"""Another path for an item, and copies of items.

Rules kept here:

- A move is one row, however much is in a directory. It leads to no cycle, to no second item of a name, to no path that
  is too long, and to no more rights for the one who moves.
- A copy has bytes of its own. They are copied outside of a transaction; one transaction then makes all of the copy, if
  what was copied is still what is there, or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxon.cloud import locks, paths, quotas, refusals, tree
from fluxon.cloud.acts import Act, Changes
from fluxon.cloud.entries import Entry
from fluxon.cloud.making import EMPTY
from fluxon.cloud.objects import Stored
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.place import Place
from fluxon.cloud.removing import CREATES, move_quota, must_fit, must_not_gain, require_below
from fluxon.cloud.steps import Steps
from fluxon.cloud.writing import unless_kept
from fluxon.errors import Conflict, InvalidPayload, NotFound, ResourceExhausted

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage

#: Items of one copy: so many rows are made in a second or two, on any database, and one transaction has five.
MAX_COPIED = 5_000

_MOVES = dict.fromkeys((tree.FILE, tree.DIRECTORY), P.MOVE)
_READS: dict[str, Permissions] = {tree.FILE: P.READ_FILE, tree.DIRECTORY: P.READ_TREE_DIRECTORY}


def move(storage: Storage, agent: Agent, path: Any, to: Any, lock: str | None) -> Steps[Entry]:
    """See ``Storage.move``."""
    wanted = paths.parse(to)

    def work(op: Operation) -> Entry:
        op.details["to"] = paths.join(wanted)
        place = op.locate(op.path)
        if not place.parts:
            raise refusals.Refused(InvalidPayload("/ cannot be moved"))
        row = op.require(place, P.MOVE)
        if row.type == tree.DIRECTORY:
            require_below(op, place, _MOVES)
        target = op.locate(wanted, main=False)
        if row.id in target.ids[:-1] or (row.id == target.ids[-1] and len(target.parts) > len(place.parts)):
            raise refusals.Refused(InvalidPayload("a directory cannot be moved into itself"))
        if target.is_there and target.item.id == row.id:
            # The same path, or another case of the name.
            directory = op.require_directory(target.parent, CREATES[row.type])
        else:
            directory = op.require_free(target, CREATES[row.type])
        if locks.is_held_below(op.connection, row.id, lock, op.now):
            raise refusals.locked()
        new_path = (*target.parent.path, wanted[-1])
        if directory.id != row.parent_id:
            must_not_gain(place.grant, op.effective(target.parent.grant, row, op.held([row.id])))
        must_fit(op, target, row)
        if directory.id != row.parent_id:
            move_quota(op, place.ids[:-1], target.parent, row.id)
        tree.set_place(op.connection, row.id, directory.id, wanted[-1])
        now = tree.item(op.connection, row.id)
        op.tell(new_path, now, place.path)
        return op.entry(now, new_path)

    return (yield Act(storage, agent, "move", path, work, changes=Changes.ANYTHING))  # type: ignore[no-any-return]


def copy(storage: Storage, agent: Agent, path: Any, to: Any) -> Entry:
    """See ``Storage.copy``."""
    wanted = paths.parse(to)
    rows = storage.look(agent, "copy", path, lambda op: _source(op, wanted)[2])
    stored: dict[int, Stored] = {}
    objects: list[str] = []
    with unless_kept(storage, objects):
        for row in rows:
            if row.object is None:
                continue
            try:
                stored[row.id] = storage.objects.copy(row.object)
            except NotFound:
                raise _moved_on() from None
            objects.append(stored[row.id].name)
        return storage.act(agent, "copy", path, lambda op: _make(op, wanted, rows, stored), changes=Changes.ANYTHING)


def _source(op: Operation, wanted: tuple[str, ...]) -> tuple[Place, Place, list[Any]]:
    """What is copied, where to, and the rows of it; refuses what may not be."""
    op.details["to"] = paths.join(wanted)
    place = op.locate(op.path)
    row = op.require(place, *([_READS[place.item.type]] if place.is_there else [P.READ_FILE]))
    if row.type == tree.DIRECTORY:
        require_below(op, place, _READS)
    target = op.locate(wanted, main=False)
    op.require_free(target, CREATES[row.type])
    rows = tree.descendants(op.connection, row.id, MAX_COPIED + 1)
    if len(rows) > MAX_COPIED:
        raise refusals.Refused(ResourceExhausted(f"a copy has at most {MAX_COPIED} items; copy parts of it"))
    if len(rows) > 1 and not {CREATES[each.type] for each in rows[1:]} <= op.of_new(target.parent.grant).permissions:
        raise refusals.denied_below()
    must_fit(op, target, row)
    op.room(op.agent.user_id, target.parent, sum(each.size for each in rows))
    return place, target, rows


def _make(op: Operation, wanted: tuple[str, ...], rows: list[Any], stored: dict[int, Stored]) -> Entry:
    place, target, now = _source(op, wanted)
    if [(each.id, each.version, each.parent_id) for each in now] != [
        (each.id, each.version, each.parent_id) for each in rows
    ]:
        raise refusals.Refused(_moved_on())
    room = op.room(op.agent.user_id, target.parent, 0)
    copies: dict[int, int] = {}
    for row in rows:
        copies[row.id] = op.storage.draw()
        bytes_of = stored.get(row.id)
        is_top = row.id == place.item.id
        tree.insert(
            op.connection,
            copies[row.id],
            target.parent.item.id if is_top else copies[row.parent_id],
            wanted[-1] if is_top else row.name,
            row.type,
            op.agent.user_id,
            op.now,
            size=row.size,
            version=0 if row.type == tree.DIRECTORY else 1,
            stored=None if bytes_of is None else bytes_of.name,
            sha256=None if row.type == tree.DIRECTORY else (EMPTY if bytes_of is None else bytes_of.sha256),
        )
    room.count(quotas.Change(sum(each.size for each in rows), 0))
    made = tree.item(op.connection, copies[place.item.id])
    op.tell(target.path, made, place.path)
    return op.entry(made, target.path)


def _moved_on() -> Conflict:
    return Conflict("what is copied was changed meanwhile; copy it again")
