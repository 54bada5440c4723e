"""Looking: what an item is, and what is in a directory.

Rules kept here:

- Only what the actor may know of is answered; what is hidden is passed over, and costs a bounded amount of work a page.
- Lists are in the order of names without case; a tree's have each directory before what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from fluxon.cloud import patterns, refusals, tree
from fluxon.cloud.acts import Act
from fluxon.cloud.cursors import no_cursor
from fluxon.cloud.entries import Entry, Page
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.place import Place
from fluxon.cloud.policy import Grant
from fluxon.cloud.steps import Steps
from fluxon.errors import InvalidPayload

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage

#: Items that a page answers at most.
MAX_PAGE = 1_000

#: Items that are looked at for a page: with hidden ones, or ones that do not fit, it may end before it is full. It is
#: a transaction, for its row in the log, and on SQLite nobody else writes for its time: 80 ms for a thousand.
MAX_LOOKED_AT = 3_000

#: Items read at once.
_BATCH = 256

#: What is known of an item by one who may do any of this.
METADATA = (P.READ_METADATA, P.READ_FILE, P.READ_TREE_DIRECTORY, P.WRITE_FILE)


def stat(storage: Storage, agent: Agent, path: Any) -> Steps[Entry]:
    """See ``Storage.stat``."""

    def work(op: Operation) -> Entry:
        place = op.locate(op.path)
        return op.entry(op.require(place, *METADATA), place.path)

    return (yield Act(storage, agent, "stat", path, work))  # type: ignore[no-any-return]


def listing(
    storage: Storage,
    agent: Agent,
    path: Any,
    after: str | None,
    limit: int,
    *,
    action: str = "list",
    deep: bool = False,
    pattern: str | None = None,
) -> Page[Entry]:
    """See ``Storage.listing``, ``tree`` and ``find``."""
    begun, *keys = storage.cursors.read(after) or ("",)
    if not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise InvalidPayload(f"a page has 1 to {MAX_PAGE} items")
    if pattern is not None and not (isinstance(pattern, str) and 0 < len(pattern.encode("utf-8", "replace")) <= 255):
        raise InvalidPayload("a pattern is a text of 1 to 255 bytes, such as *.txt")

    def work(op: Operation) -> Page[Entry]:
        place = op.locate(op.path)
        top = op.require_directory(place, P.READ_TREE_DIRECTORY).id
        if begun and begun != str(top):
            raise refusals.Refused(no_cursor())
        found: list[tuple[Any, tuple[str, ...]]] = []
        last: _Seen | None = None
        for looked_at, seen in enumerate(walk(op, place, tuple(keys), deep), 1):
            if len(found) == limit:
                assert last is not None
                return Page(op.entries(found), storage.cursors.seal(top, last.keys))
            if seen.grant.permissions:
                last = seen
                if pattern is None or patterns.matches(pattern, seen.row.name):
                    found.append((seen.row, seen.path))
            if looked_at == MAX_LOOKED_AT:
                return Page(op.entries(found), storage.cursors.seal(top, seen.keys))
        return Page(op.entries(found))

    return storage.act(agent, action, path, work)


@attrs.frozen
class _Seen:
    row: Any
    path: tuple[str, ...]
    #: Keys from the directory that was asked for on.
    keys: tuple[str, ...]
    grant: Grant


def walk(op: Operation, place: Place, after: tuple[str, ...], deep: bool) -> Iterator[_Seen]:
    """All that is in a directory, hidden or not, beyond where ``after`` leads; of subdirectories too if ``deep``.

    Reads as much as it is asked for. A directory that the actor may not look into is not gone into.
    """
    top = _Seen(place.item, place.path, (), place.grant)
    levels = [_level(op, top, after[0] if after else "")]
    for depth, key in enumerate(after if deep else ()):
        # Into the directories that the page before was in, as far as they are still there.
        row = tree.child(op.connection, top.row.id, key)
        if row is None:
            break
        top = _Seen(row, (*top.path, row.name), (*top.keys, key), _grant(op, top.grant, [row])[0])
        if not _is_open(top):
            break
        levels.append(_level(op, top, after[depth + 1] if depth + 1 < len(after) else ""))
    while levels:
        seen = next(levels[-1], None)
        if seen is None:
            levels.pop()
            continue
        yield seen
        if deep and _is_open(seen):
            levels.append(_level(op, seen, ""))


def _is_open(seen: _Seen) -> bool:
    return seen.row.type == tree.DIRECTORY and P.READ_TREE_DIRECTORY in seen.grant.permissions


def _level(op: Operation, directory: _Seen, after: str) -> Iterator[_Seen]:
    while True:
        rows = tree.children(op.connection, directory.row.id, after, _BATCH)
        for row, grant in zip(rows, _grant(op, directory.grant, rows), strict=True):
            yield _Seen(row, (*directory.path, row.name), (*directory.keys, row.name_key), grant)
        if len(rows) < _BATCH:
            return
        after = rows[-1].name_key


def _grant(op: Operation, above: Grant, rows: list[Any]) -> list[Grant]:
    held = op.held([row.id for row in rows]) if rows else {}
    return [op.effective(above, row, held) for row in rows]
