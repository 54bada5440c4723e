"""What the cloud answers, as small frozen objects. Pure.

Times are aware, in UTC. A user is a username, or None: the administration, or somebody who is no longer a user.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import attrs
from attrs import frozen


@frozen
class CloudItem:
    """A file or a directory, as it was when the server answered."""

    name: str
    #: From the root: ``/janes_dir/some_file.txt``.
    path: str
    #: ``"file"`` or ``"directory"``.
    type: str
    #: Bytes of a file; 0 for a directory.
    size: int
    #: Counts the contents that a file has had, for ``if_version=``; 0 for a directory.
    version: int
    #: Of the content, as 64 hexadecimal digits; None for a directory.
    sha256: str | None
    creator: str | None
    created_at: datetime
    modified_at: datetime

    @property
    def is_directory(self) -> bool:
        """Whether it may hold items."""
        return self.type == "directory"

    @property
    def is_file(self) -> bool:
        """Whether it has a content."""
        return self.type == "file"


@frozen
class CloudVersion:
    """A content that a file has, or had and still keeps."""

    version: int
    size: int
    sha256: str
    #: When it was written, and by whom.
    at: datetime
    by: str | None


@frozen
class DeletedItem:
    """Something that was deleted and can be restored, by its ``id``."""

    id: int
    #: Where it was.
    path: str
    type: str
    size: int
    deleted_at: datetime
    deleted_by: str | None


@frozen
class RoleAssignment:
    """A role that a user has at a path and below it."""

    path: str
    user: str
    role: str
    expires_at: datetime | None
    #: It holds between these times of day, in UTC; ``valid_from`` later than ``valid_until`` goes over midnight.
    valid_from: time | None
    valid_until: time | None


@frozen
class CloudAction:
    """A line of the audit log."""

    user: str
    path: str
    #: ``"read"``, ``"write"``, ``"delete"``, ``"assign_role"``, …
    action_type: str
    allowed: bool
    outcome: str
    address: str | None
    details: str | None
    timestamp: datetime


@frozen
class CloudChange:
    """What a watch is told of.

    ``action`` is what was done (``"create"``, ``"write"``, ``"delete"``, ``"move"``, …), or one of these, with the
    watched path: ``"missed"``, the connection was lost for a while, and anything may have changed; ``"ended"``, the
    server does not let this user watch any longer, and nothing more will come.
    """

    action: str
    path: str
    #: Where it was before, for a move.
    source: str | None
    #: ``"file"`` or ``"directory"``.
    type: str
    user: str
    at: datetime


def read(kind: type[Any], value: dict[str, Any]) -> Any:
    """An object of ``kind`` from the map that the server answered. A newer server may say more."""
    table = _readers.get(kind)
    if table is None:
        table = _readers[kind] = {
            each.name: _time_of_day if each.name in ("valid_from", "valid_until") else None
            for each in attrs.fields(kind)
        }
    given: dict[str, Any] = {}
    for name, convert in table.items():
        found = value.get(name)
        given[name] = found if convert is None or found is None else convert(found)
    return kind(**given)


def _time_of_day(text: str) -> time:
    return time.fromisoformat(text)


_readers: dict[type[Any], dict[str, Any]] = {}
