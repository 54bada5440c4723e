"""``Storage``: one cloud. The only door to its items: policy, then tree, then audit, in one transaction.

Rules kept here:

- Everything blocks, and may be called from any thread but the reactor's; many at once.
- Each action is one transaction: the path, what the actor may do there, the change, and the audit log's row. What was
  refused leaves its row, too: that transaction commits nothing else, and then the error is raised. A path that cannot
  be one is refused before; it is no action.
- What has to happen outside of the database, happens after the commit, and its loss loses nothing.
- Whoever acts is an ``Agent``. What is not said to be refused otherwise raises ``NotFound`` or ``PermissionDenied``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import time as time_of_day
from typing import Any, TypeVar

from fluxon.cloud import (
    allowances,
    assignments,
    contents,
    history,
    leases,
    making,
    moving,
    purging,
    reading,
    removing,
    roles,
    steps,
    tree,
    writing,
)
from fluxon.cloud.acts import Act, Changes
from fluxon.cloud.agent import Agent
from fluxon.cloud.audit import Action
from fluxon.cloud.constraints import constraint
from fluxon.cloud.cursors import Cursors
from fluxon.cloud.entries import CloudOptions, DeletedEntry, Entry, Listener, Opened, Page
from fluxon.cloud.identifiers import ROOT_ID, Identifiers
from fluxon.cloud.locks import Lease
from fluxon.cloud.memo import Memos
from fluxon.cloud.objects import Objects, Stored, Swept
from fluxon.cloud.operation import Operation
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import Rules
from fluxon.cloud.quotas import Usage
from fluxon.cloud.refusals import Refused
from fluxon.cloud.roles import RoleAt
from fluxon.cloud.tables import tables_for
from fluxon.cloud.users import Named, User, Users
from fluxon.cloud.versions import Version
from fluxon.cloud.writing import Wanted
from fluxon.database.database import Database
from fluxon.errors import NotFound

T = TypeVar("T")

_UNSAID = CloudOptions()


class Storage:
    """The items in ``database``, with their bytes in ``objects`` and the rights that ``model`` gives.

    ``model`` is an authorization model; ``clock`` answers POSIX seconds. Nothing is opened before ``open``.
    """

    #: The row of ``/``.
    root: Any
    cursors: Cursors

    def __init__(
        self,
        database: Database,
        objects: Objects,
        model: Any,
        options: CloudOptions = _UNSAID,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.objects = objects
        self.model = model
        self.rules: Rules = model.rules
        self.options = options
        self.users = Users(database)
        self.memos = Memos()
        self.dialect: str = database.statements.dialect.name
        #: Called with a ``Change`` after each commit that changes something, in the thread that made it.
        self.changed: list[Listener] = []
        self._clock = clock
        self._identifiers = Identifiers(clock)

    def open(self) -> None:
        """Make what is missing: the tables, ``/``, the model's roles, the folder. The project's tables must be there.

        Raises ``ConfigurationError`` when they are not, or when the folder is not safe.
        """
        self.database.read_blocking(self.users.find, Named(id=0))
        self.database.make_tables(tables_for(self.users.table))
        self.database.write_blocking(self._prepare)
        self.root = self.database.read_blocking(tree.item, ROOT_ID)
        # Two databases whose "/" was made in the same microsecond are the same one.
        self.objects.open(self.root.created_at.isoformat())
        self.cursors = Cursors(self.objects.key)

    def _prepare(self, connection: Any) -> None:
        tree.make_root(connection, self.now())
        assignments.synchronise(connection, self.rules.roles, self.draw)

    def close(self) -> None:
        """Let go of the folder; the database is its owner's to close."""
        self.objects.close()

    # --- looking --------------------------------------------------------------------------------------------------

    def stat(self, agent: Agent, path: Any) -> Entry:
        """What is known of an item; needs any right at it that reads or writes."""
        return steps.run(self, reading.stat(self, agent, path))

    def listing(self, agent: Agent, path: Any, after: str | None = None, limit: int = 1_000) -> Page[Entry]:
        """What is in a directory, by name, as far as the actor may know of it; needs READ_TREE_DIRECTORY."""
        return reading.listing(self, agent, path, after, limit)

    def tree(self, agent: Agent, path: Any, after: str | None = None, limit: int = 1_000) -> Page[Entry]:
        """The same, and what is in its subdirectories: each of them before what is in it."""
        return reading.listing(self, agent, path, after, limit, action="tree", deep=True)

    def find(self, agent: Agent, path: Any, pattern: str, after: str | None = None, limit: int = 1_000) -> Page[Entry]:
        """Those of ``tree`` whose name fits a pattern of ``*`` and ``?``. A page may be short, and not the last."""
        return reading.listing(self, agent, path, after, limit, action="find", deep=True, pattern=pattern)

    # --- making and writing ---------------------------------------------------------------------------------------

    def make_directory(self, agent: Agent, path: Any, parents: bool = False) -> Entry:
        """A new directory; needs CREATE_SUB_DIRECTORY where it is to be. ``AlreadyExists`` if the name is taken.

        With ``parents`` those above it that are missing are made as well, and one that is there is no error.
        """
        return steps.run(self, making.make_directory(self, agent, path, parents))

    def make_file(self, agent: Agent, path: Any) -> Entry:
        """A new empty file; needs CREATE_FILE where it is to be. ``AlreadyExists`` if the name is taken."""
        return steps.run(self, making.make_file(self, agent, path))

    def write(
        self,
        agent: Agent,
        path: Any,
        data: bytes | bytearray | memoryview,
        *,
        create: bool = True,
        if_version: int | None = None,
        lock: str | None = None,
    ) -> Entry:
        """Make ``data`` the content of a file; durable when this returns.

        Needs WRITE_FILE at the file, or CREATE_FILE in its directory if it is not there and ``create`` allows making
        it. ``if_version``: only if that is the file's version, 0 for none; else ``Conflict``, whose details say both.
        ``Locked`` if another holds it. ``ResourceExhausted`` if it does not fit in a quota, or on the disk.
        """
        wanted = Wanted(memoryview(data).nbytes, create, _version(if_version), lock)
        return steps.run(self, writing.write(self, agent, path, data, wanted))

    def begin_upload(
        self,
        agent: Agent,
        path: Any,
        *,
        size: int | None = None,
        create: bool = True,
        if_version: int | None = None,
        lock: str | None = None,
    ) -> None:
        """Raise what ``write`` would, before any byte is sent. Allowed, it is no action yet."""
        wanted = Wanted(0 if size is None else writing.number(size), create, _version(if_version), lock)
        steps.run(self, writing.begin(self, agent, path, wanted))

    def finish_upload(
        self,
        agent: Agent,
        path: Any,
        stored: Stored,
        *,
        create: bool = True,
        if_version: int | None = None,
        lock: str | None = None,
    ) -> Entry:
        """Make an object the content of a file; decides again. If it certainly fails, the object is removed."""
        wanted = Wanted(stored.size, create, _version(if_version), lock)
        return steps.run(self, writing.finish(self, agent, path, stored, wanted))

    # --- reading --------------------------------------------------------------------------------------------------

    def open_read(
        self, agent: Agent, path: Any, *, offset: int = 0, length: int | None = None, version: int | None = None
    ) -> Opened:
        """Open a file's content, or an older one; needs READ_FILE. The caller closes the descriptor."""
        return steps.run(self, contents.open_read(self, agent, path, offset, length, version))

    def read(
        self, agent: Agent, path: Any, *, offset: int = 0, length: int | None = None, version: int | None = None
    ) -> bytes:
        """The bytes themselves."""
        return steps.run(self, contents.read(self, agent, path, offset, length, version))[1]

    # --- changing the tree ----------------------------------------------------------------------------------------

    def delete(self, agent: Agent, path: Any, *, type: str | None = None, lock: str | None = None) -> None:
        """Delete a file, or a directory with all that is in it.

        Needs DELETE_FILE or DELETE_SUB_DIRECTORY at it, and at everything in it. ``type``: only if it is that.
        """
        steps.run(self, removing.delete(self, agent, path, type, lock))

    def move(self, agent: Agent, path: Any, to: Any, *, lock: str | None = None) -> Entry:
        """Give an item the path ``to``, which must be free.

        Needs MOVE at it and at everything in it, and the right to create it where it goes; the actor may not have
        more rights at it there than here.
        """
        return steps.run(self, moving.move(self, agent, path, to, lock))

    def copy(self, agent: Agent, path: Any, to: Any) -> Entry:
        """Make a copy at the path ``to``, which must be free; it is the actor's, with the present contents only.

        Needs READ_FILE or READ_TREE_DIRECTORY at the item and at everything in it, and the right to create them
        where they go. ``Conflict`` if it is changed meanwhile.
        """
        return moving.copy(self, agent, path, to)

    # --- what was -------------------------------------------------------------------------------------------------

    def versions(self, agent: Agent, path: Any) -> list[Version]:
        """The contents of a file that are kept, the present one first; needs READ_FILE."""
        return history.of_file(self, agent, path)

    def restore_version(self, agent: Agent, path: Any, version: int) -> Entry:
        """Make an older content the present one again, as a new version; needs READ_FILE and WRITE_FILE."""
        return steps.run(self, writing.restore_version(self, agent, path, version))

    def deleted(self, agent: Agent, path: Any, after: str | None = None, limit: int = 1_000) -> Page[DeletedEntry]:
        """What was deleted below a directory and is kept, the newest first; needs READ_TREE_DIRECTORY."""
        return removing.deleted(self, agent, path, after, limit)

    def restore_deleted(self, agent: Agent, path: Any, deleted_id: int) -> Entry:
        """Bring something deleted back, as ``path``, which must be free.

        Needs the right to delete it and the right to create it where it goes.
        """
        return removing.restore_deleted(self, agent, path, deleted_id)

    def log(
        self,
        agent: Agent,
        path: Any = "/",
        *,
        user: Any = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
        limit: int = 1_000,
        item_id: int | None = None,
    ) -> Page[Action]:
        """What was done at a path and below it, the newest first; needs ASSIGN_ROLES. A page may be short.

        ``item_id``: only what was done with this item, whatever its path was.
        """
        return history.log(self, agent, path, user, since, until, after, limit, item_id)

    # --- locks and quotas -----------------------------------------------------------------------------------------

    def lock(self, agent: Agent, path: Any, seconds: float, lock: str | None = None) -> Lease:
        """Keep others from changing a file for ``seconds``; again with the ``lock`` for longer. Needs WRITE_FILE."""
        return leases.lock(self, agent, path, seconds, lock)

    def unlock(self, agent: Agent, path: Any, lock: str | None = None) -> None:
        """End a lock. The administration may break one without knowing it."""
        leases.unlock(self, agent, path, lock)

    def set_quota(self, agent: Agent, limit: int | None, *, user: Any = None, path: Any = None) -> Usage:
        """How many bytes a user, or a directory, may keep. For the administration.

        None: what ``Setup`` says for a user, no limit for a directory; ``quotas.UNLIMITED``: no limit.
        """
        return allowances.set_quota(self, agent, limit, user, path)

    def usage(self, agent: Agent, *, user: Any = None, path: Any = None) -> Usage:
        """What is kept: of a user, for them and the administration; of a directory, for those who assign its roles."""
        return allowances.usage(self, agent, user, path)

    # --- roles ----------------------------------------------------------------------------------------------------

    def assign(
        self,
        agent: Agent,
        path: Any,
        role: str,
        user: Any,
        *,
        expires_at: datetime | None = None,
        valid_from: time_of_day | str | None = None,
        valid_until: time_of_day | str | None = None,
    ) -> dict[str, str]:
        """Give a user (key or name) a role at an item, or other limits to theirs; what ``assign_role`` answers.

        Needs ASSIGN_ROLES there, and all that the role permits and that the user gains or loses by it.
        """
        limits = constraint(expires_at, valid_from, valid_until)
        return roles.assign(self, agent, path, role, _named(user), limits)

    def unassign(self, agent: Agent, path: Any, user: Any, role: str | None = None) -> int:
        """Take a role at an item from a user, every one without ``role``; how many. Needs what ``assign`` needs."""
        return roles.unassign(self, agent, path, _named(user), role)

    def roles(self, agent: Agent, path: Any) -> list[RoleAt]:
        """The assignments at an item; needs ASSIGN_ROLES."""
        return roles.roles(self, agent, path)

    def permissions(self, agent: Agent, path: Any) -> frozenset[Permissions]:
        """What the agent may do at an item."""
        return roles.permissions(self, agent, path)

    # --- care -----------------------------------------------------------------------------------------------------

    def purge(self) -> int:
        """Take away versions and deletions that are kept no longer; how many rows went."""
        return purging.purge(self)

    def sweep(self) -> Swept:
        """``purge``, and remove objects that no row names."""
        self.purge()
        return self.objects.sweep(lambda names: purging.named(self, names))

    def check(self) -> list[str]:
        """Compare rows and objects; what is wrong, a line each."""
        return purging.check(self)

    # --- how operations are run -----------------------------------------------------------------------------------

    def act(
        self,
        agent: Agent,
        action: str,
        path: Any,
        work: Callable[[Operation], T],
        *,
        changes: Changes = Changes.NOTHING,
    ) -> T:
        """``work(operation)`` in a transaction that ends with the audit log's row, refused or not."""
        return steps.run(self, steps.only(Act(self, agent, action, path, work, changes=changes)))  # type: ignore[no-any-return]

    def look(self, agent: Agent, action: str, path: Any, work: Callable[[Operation], T]) -> T:
        """``work(operation)``, which only reads, before an ``act``: consent leaves no row, a refusal one."""
        return steps.run(self, steps.may(Act(self, agent, action, path, work)))  # type: ignore[no-any-return]

    def now(self) -> datetime:
        """The clock's time."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def draw(self) -> int:
        """The key of a new row."""
        return self._identifiers.draw()

    def find_user(self, connection: Any, user: Any) -> User | None:
        """The user with this key (an int) or name (a text), or None."""
        return self.users.find(connection, _named(user))

    def get_user(self, connection: Any, user: Any) -> User:
        """The same; refuses if there is none."""
        found = self.find_user(connection, user)
        if found is None:
            raise Refused(NotFound("there is no such user"))
        return found


def _named(user: Any) -> Named:
    return Named(name=user) if isinstance(user, str) else Named(id=getattr(user, "id", user))


def _version(value: int | None) -> int | None:
    return None if value is None else writing.number(value)
