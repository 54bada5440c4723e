"""``Item``, ``File`` and ``Directory``: what a program holds of the cloud's items.

Rules kept here:

- An item is a snapshot: its attributes are what was so when it was read. Its methods go by its path, at the moment of
  the call.
- Each call follows ``fluxon.blocking``: on the reactor's thread it returns something to await, elsewhere the result.
- ``user`` is who acts: ``request.user``, or a row of the AuthenticatedUser; None is a stranger. Left out, the
  administration acts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from fluxon.cloud import paths, snapshots, tree
from fluxon.cloud.acting import ABSENT, agent_of
from fluxon.cloud.agent import Agent
from fluxon.cloud.snapshots import Snapshot
from fluxon.errors import NotFound

if TYPE_CHECKING:
    from fluxon.cloud.filesystem import Filesystem
    from fluxon.cloud.storage import Storage
    from fluxon.sessions.user import AuthenticatedUser


class Item:
    """A file or a directory, or, as this very class, a path at which there was nothing."""

    #: ``"file"`` or ``"directory"``; None where there is nothing.
    type: ClassVar[str | None] = None

    def __init__(self, filesystem: Filesystem, snapshot: Snapshot) -> None:
        self._filesystem = filesystem
        self._at = snapshot.path
        entry = snapshot.entry
        self.path = PurePosixPath(snapshot.path)
        self.name: str = self.path.name
        #: Who made it; None: the administration, or somebody who is no user any more.
        self.creator: AuthenticatedUser | None = snapshot.creator
        self.id: int | None = None if entry is None else entry.id
        #: Bytes; a directory has none.
        self.size: int = 0 if entry is None else entry.size
        #: How many contents the file has had.
        self.version: int = 0 if entry is None else entry.version
        #: Of the content, in hexadecimal digits.
        self.sha256: str | None = None if entry is None else entry.sha256
        self.created_at: datetime | None = None if entry is None else entry.created_at
        self.modified_at: datetime | None = None if entry is None else entry.modified_at

    def __repr__(self) -> str:
        return f"<{self.type or 'nothing at'} {self._at}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Item):
            return NotImplemented
        return (self.id, self._at if self.id is None else None) == (other.id, other._at if other.id is None else None)

    def __hash__(self) -> int:
        return hash(self.id if self.id is not None else self._at)

    def __getattr__(self, name: str) -> Any:
        if type(self) is Item and (hasattr(File, name) or hasattr(Directory, name)):
            raise NotFound(f"there is nothing at {self._at}")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def exists(self) -> Any:
        """Whether there is one of this kind at the path now."""
        return self._perform(self._exists)

    def _exists(self, storage: Storage) -> bool:
        entry = snapshots.at(storage, self._at).entry
        return entry is not None and self.type in (None, entry.type)

    def parent(self) -> Any:
        """The directory that it is in; None for ``/``."""
        above = None if self._at == "/" else str(self.path.parent)
        return self._perform(lambda storage: None if above is None else self._item(snapshots.at(storage, above)))

    def stat(self, *, user: Any = ABSENT) -> Any:
        """A new snapshot of what is at the path now; ``NotFound`` if nothing is."""
        return self._one(lambda storage, agent: storage.stat(agent, self._at), user)

    metadata = stat

    def audit_logs(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1_000, user: Any = ABSENT
    ) -> Any:
        """What was done with this item, whatever its path was then, each an ``Action``, the oldest first.

        There may be more than ``limit``; then these are the last ones.
        """
        return self._filesystem._log(self._at, self.id, since, until, None, limit, user, newest_first=False)

    def move(self, new_path: Any, *, lock: str | None = None, user: Any = ABSENT) -> Any:
        """Give it another path, which must be free; the item there."""
        return self._one(lambda storage, agent: storage.move(agent, self._at, new_path, lock=lock), user)

    def copy(self, new_path: Any, *, user: Any = ABSENT) -> Any:
        """Make a copy of it, and of all that is in it, at a path that must be free; the copy."""
        return self._one(lambda storage, agent: storage.copy(agent, self._at, new_path), user)

    def delete(self, *, lock: str | None = None, user: Any = ABSENT) -> Any:
        """Delete it, a directory with all that is in it. Kept for some time; see ``Directory.deleted``."""
        agent = agent_of(user)
        return self._perform(lambda storage: storage.delete(agent, self._at, type=self.type, lock=lock))

    def _perform(self, work: Callable[[Storage], Any]) -> Any:
        return self._filesystem._perform(work)

    def _as(self, work: Callable[[Storage, Agent], Any], user: Any) -> Any:
        agent = agent_of(user)
        return self._perform(lambda storage: work(storage, agent))

    def _one(self, work: Callable[[Storage, Agent], Any], user: Any) -> Any:
        """An operation that answers an entry, as an item."""

        def item(storage: Storage, agent: Agent) -> Item:
            entry = work(storage, agent)
            return self._item(snapshots.of_entries(storage, [entry])[0])

        return self._as(item, user)

    def _item(self, snapshot: Snapshot) -> Item:
        return item_of(self._filesystem, snapshot)


class File(Item):
    """A file."""

    type = tree.FILE

    def read(
        self, *, offset: int = 0, length: int | None = None, version: int | None = None, user: Any = ABSENT
    ) -> Any:
        """The content, as bytes; of an older ``version``, if it is kept."""
        return self._as(
            lambda storage, agent: storage.read(agent, self._at, offset=offset, length=length, version=version), user
        )

    def read_text(self, *, version: int | None = None, user: Any = ABSENT) -> Any:
        """The content as text; it must be UTF-8."""
        return self._as(lambda storage, agent: storage.read(agent, self._at, version=version).decode(), user)

    def write(
        self, content: str | bytes, *, if_version: int | None = None, lock: str | None = None, user: Any = ABSENT
    ) -> Any:
        """Replace the content; a text is written in UTF-8. The file as it is then. Made anew if it was deleted."""
        data = encoded(content)
        return self._one(
            lambda storage, agent: storage.write(agent, self._at, data, if_version=if_version, lock=lock), user
        )

    def last_modified(self) -> Any:
        """When the content was last written, as of now; ``NotFound`` if the file is gone."""

        def moment(storage: Storage) -> datetime:
            entry = snapshots.at(storage, self._at).entry
            if entry is None:
                raise NotFound(f"there is nothing at {self._at}")
            return entry.modified_at

        return self._perform(moment)

    def versions(self, *, user: Any = ABSENT) -> Any:
        """The contents that are kept, each a ``Version``: the present one first."""
        return self._as(lambda storage, agent: storage.versions(agent, self._at), user)

    def restore(self, version: int, *, user: Any = ABSENT) -> Any:
        """Make an older content the present one again; the file as it is then."""
        return self._one(lambda storage, agent: storage.restore_version(agent, self._at, version), user)

    def lock(self, seconds: float, *, lock: str | None = None, user: Any = ABSENT) -> Any:
        """Keep others from changing it for ``seconds``; a ``Lease``, whose ``lock`` goes with each change.

        Again with the ``lock`` for longer. ``Locked`` while another holds it.
        """
        return self._as(lambda storage, agent: storage.lock(agent, self._at, seconds, lock), user)

    def unlock(self, lock: str | None = None, *, user: Any = ABSENT) -> Any:
        """End a lock; the administration needs no ``lock`` for that."""
        return self._as(lambda storage, agent: storage.unlock(agent, self._at, lock), user)


class Directory(Item):
    """A directory."""

    type = tree.DIRECTORY

    def create_file(self, name: str, *, user: Any = ABSENT) -> Any:
        """A new empty file in it."""
        path = self._inside(name)
        return self._one(lambda storage, agent: storage.make_file(agent, path), user)

    def create_directory(self, name: str, *, user: Any = ABSENT) -> Any:
        """A new directory in it."""
        path = self._inside(name)
        return self._one(lambda storage, agent: storage.make_directory(agent, path), user)

    def list_items(self, *, after: str | None = None, limit: int | None = None, user: Any = ABSENT) -> Any:
        """What is in it, by name: a list of items, of all of them unless there is a ``limit``.

        The list's ``next`` is what to give as ``after`` to go on, or None.
        """
        return self._many(lambda storage, *page: storage.listing(page[0], self._at, *page[1:]), after, limit, user)

    def walk(self, *, after: str | None = None, limit: int | None = None, user: Any = ABSENT) -> Any:
        """What is in it and in its subdirectories, each of those before what is in it; as ``list_items``."""
        return self._many(lambda storage, *page: storage.tree(page[0], self._at, *page[1:]), after, limit, user)

    def find(self, pattern: str, *, after: str | None = None, limit: int | None = None, user: Any = ABSENT) -> Any:
        """Those of ``walk`` whose name fits a pattern of ``*`` and ``?``, whatever the case."""
        return self._many(
            lambda storage, *page: storage.find(page[0], self._at, pattern, *page[1:]), after, limit, user
        )

    def deleted(self, *, after: str | None = None, limit: int = 1_000, user: Any = ABSENT) -> Any:
        """What was deleted in it and below and is kept, the newest first: a ``Page`` of ``DeletedEntry``."""
        return self._as(lambda storage, agent: storage.deleted(agent, self._at, after, limit), user)

    def restore(self, deleted_id: int, name: str, *, user: Any = ABSENT) -> Any:
        """Bring something deleted back, in this directory, by a name that must be free; the item."""
        path = self._inside(name)
        return self._one(lambda storage, agent: storage.restore_deleted(agent, path, deleted_id), user)

    def usage(self, *, user: Any = ABSENT) -> Any:
        """How many bytes are kept in it and below, as a ``Usage``."""
        return self._as(lambda storage, agent: storage.usage(agent, path=self._at), user)

    def set_quota(self, limit: int | None) -> Any:
        """How many bytes may be kept in it and below; None: no limit."""
        return self._as(lambda storage, agent: storage.set_quota(agent, limit, path=self._at), ABSENT)

    def _inside(self, name: str) -> str:
        return paths.join((*paths.parse(self._at), paths.component(name)))

    def _many(self, page: Callable[..., Any], after: str | None, limit: int | None, user: Any) -> Any:
        def items(storage: Storage, agent: Agent) -> Items:
            found, following = Items(), after
            while limit is None or len(found) < limit:
                wanted = 1_000 if limit is None else min(limit - len(found), 1_000)
                got = page(storage, agent, following, wanted)
                found += [self._item(each) for each in snapshots.of_entries(storage, got.entries)]
                following = found.next = got.next
                if following is None:
                    break
            return found

        return self._as(items, user)


class Items(list[Item]):
    """Items, and where to go on: give ``next`` as ``after``. None: there are no more."""

    next: str | None = None


def item_of(filesystem: Filesystem, snapshot: Snapshot) -> Item:
    """A snapshot as a ``File``, a ``Directory``, or an ``Item`` for nothing."""
    if snapshot.entry is None:
        return Item(filesystem, snapshot)
    kind = File if snapshot.entry.type == tree.FILE else Directory
    return kind(filesystem, snapshot)


def encoded(content: str | bytes) -> bytes:
    """A content as bytes; ``TypeError`` for what is neither text nor bytes."""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise TypeError(f"a content is bytes, or text (written in UTF-8); not {type(content).__name__}")
