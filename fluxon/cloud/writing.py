"""Contents: a file's new one is written, an older one becomes the present one again.

Rules kept here:

- Whether it may be written is decided before any byte is stored, and again in the transaction that makes it the file's.
- The bytes are durable before that transaction begins; it replaces the whole content or nothing.
- If it fails for certain the object is removed; if its outcome is not known the object stays, for the sweep to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from fluxon.cloud import locks, quotas, refusals, tree, versions
from fluxon.cloud.acts import Act, Changes
from fluxon.cloud.entries import Entry
from fluxon.cloud.making import EMPTY, add_file
from fluxon.cloud.objects import Stored
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.place import Place
from fluxon.cloud.room import Room
from fluxon.cloud.steps import Steps, Store, may
from fluxon.errors import FluxonError, InvalidPayload, NotFound, OutcomeUnknown

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage


@attrs.frozen
class Wanted:
    """What is to be written, and on which conditions."""

    size: int
    create: bool = True
    if_version: int | None = None
    lock: str | None = None


@attrs.frozen
class _Decision:
    """That it may be done, and what it takes."""

    place: Place
    room: Room
    #: Versions that are one too many then.
    trimmed: list[Any]
    more: int


def write(storage: Storage, agent: Agent, path: Any, data: Any, wanted: Wanted) -> Steps[Entry]:
    """See ``Storage.write``."""
    yield from may(_asked(storage, agent, path, wanted))
    stored = (yield Store(data)) if wanted.size else Stored("", 0, EMPTY)
    return (yield from finish(storage, agent, path, stored, wanted))


def begin(storage: Storage, agent: Agent, path: Any, wanted: Wanted) -> Steps[None]:
    """Refuse what may not be written; a refusal is in the log, a consent not yet."""
    yield from may(_asked(storage, agent, path, wanted))


def finish(storage: Storage, agent: Agent, path: Any, stored: Stored, wanted: Wanted) -> Steps[Entry]:
    """Make what was stored the content of the file."""

    def work(op: Operation) -> Entry:
        return _carry_out(op, stored, wanted)

    with unless_kept(storage, [stored.name] if stored.name else []):
        return (yield Act(storage, agent, "write", path, work, changes=Changes.CONTENTS))  # type: ignore[no-any-return]


def _asked(storage: Storage, agent: Agent, path: Any, wanted: Wanted) -> Act:
    return Act(storage, agent, "write", path, lambda op: _decide(op, wanted))


@contextmanager
def unless_kept(storage: Storage, objects: list[str]) -> Iterator[None]:
    """If the block certainly fails, remove objects that were stored for it (the list may grow meanwhile)."""
    try:
        yield
    except OutcomeUnknown:
        raise
    except FluxonError:
        storage.objects.remove(objects)
        raise


def restore_version(storage: Storage, agent: Agent, path: Any, version: int) -> Steps[Entry]:
    """See ``Storage.restore_version``."""
    number(version)

    def source(op: Operation) -> Any:
        place = op.locate(op.path)
        row = op.require(place, P.WRITE_FILE)
        if not place.may(P.READ_FILE):
            raise refusals.denied(P.READ_FILE)
        if row.type != tree.FILE:
            raise refusals.no_file()
        older = versions.one(op.connection, row.id, version)
        if older is None:
            raise no_version()
        _decide(op, Wanted(older.size, create=False))
        return older

    def gone(op: Operation) -> Any:
        source(op)
        raise no_version()

    older = yield from may(Act(storage, agent, "restore", path, source))
    stored = Stored("", 0, EMPTY)
    if older.object is not None:
        try:
            stored = storage.objects.copy(older.object)
        except NotFound:
            # Its time was over a moment ago.
            return (yield Act(storage, agent, "restore", path, gone))  # type: ignore[no-any-return]

    def work(op: Operation) -> Entry:
        op.details["version"] = version
        source(op)
        return _carry_out(op, stored, Wanted(stored.size, create=False))

    with unless_kept(storage, [stored.name] if stored.name else []):
        return (yield Act(storage, agent, "restore", path, work, changes=Changes.CONTENTS))  # type: ignore[no-any-return]


def no_version() -> refusals.Refused:
    """The number of a content that is not kept."""
    return refusals.Refused(NotFound("the file has no such version, or it is no longer kept"))


def number(value: Any) -> int:
    """A version as a caller gave it."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InvalidPayload("a version is a whole number, from 0 on")
    return value


def _decide(op: Operation, wanted: Wanted) -> _Decision:
    place = op.locate(op.path)
    decide: Callable[[Operation, Place, Wanted], _Decision] = _existing if place.is_visible else _new
    return decide(op, place, wanted)


def _existing(op: Operation, place: Place, wanted: Wanted) -> _Decision:
    row = place.item
    if row.type != tree.FILE:
        raise refusals.no_file()
    op.require(place, P.WRITE_FILE)
    if wanted.if_version is not None and wanted.if_version != row.version:
        raise refusals.changed(wanted.if_version, row.version)
    must_open(op, place, wanted.lock)
    options = op.storage.options
    trimmed = versions.beyond(op.connection, row.id, max(options.versions - 1, 0) if options.keeps else 0)
    freed = sum(each.size for each in trimmed) + (0 if options.keeps else row.size)
    more = wanted.size - freed
    return _Decision(place, op.room(row.creator_id, place.parent, more), trimmed, more)


def _new(op: Operation, place: Place, wanted: Wanted) -> _Decision:
    if not place.parts or not wanted.create or not place.parent.is_visible:
        raise op.unknown(place)
    op.require_directory(place.parent, P.CREATE_FILE)
    if place.is_there:
        raise refusals.hidden()
    if wanted.if_version:
        raise refusals.changed(wanted.if_version, 0)
    op.require_short(place)
    return _Decision(place, op.room(op.agent.user_id, place.parent, wanted.size), [], wanted.size)


def must_open(op: Operation, place: Place, token: str | None) -> None:
    """Refuse unless the file is not locked, or with this token."""
    lock = locks.of_item(op.connection, place.item.id, op.now)
    if not locks.opens(lock, token):
        if place.may(P.READ_FILE, P.READ_METADATA):
            raise refusals.locked(lock.holder_name, lock.until)
        raise refusals.locked()


def _carry_out(op: Operation, stored: Stored, wanted: Wanted) -> Entry:
    decision = _decide(op, wanted)
    place, name = decision.place, stored.name or None
    if not place.is_there:
        decision.room.count(quotas.Change(stored.size, 0))
        return add_file(op, place.parent.item, place.path, stored.size, name, stored.sha256)
    row, keeps = place.item, op.storage.options.keeps
    op.removed += versions.remove(op.connection, decision.trimmed)
    if keeps:
        versions.keep(op.connection, row, op.now)
    elif row.object is not None:
        op.removed.append(row.object)
    now = tree.set_content(
        op.connection,
        row,
        size=stored.size,
        version=row.version + 1,
        stored=name,
        sha256=stored.sha256,
        by=op.agent.user_id,
        now=op.now,
    )
    replaced = (row.size if keeps else 0) - sum(each.size for each in decision.trimmed)
    decision.room.count(quotas.Change(decision.more, replaced))
    op.tell(place.path, now)
    return op.entry(now, place.path)
