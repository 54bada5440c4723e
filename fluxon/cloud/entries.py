"""What the storage answers: values that nobody can change, and that stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs

from fluxon.arguments import check_count, check_flag
from fluxon.errors import ConfigurationError

T = TypeVar("T")

#: A century: what is kept for longer is kept for ever, and no database's clock begins much earlier.
MOST_DAYS = 36_525


@attrs.frozen
class Entry:
    """An item as it was at that moment."""

    id: int
    name: str
    path: str
    #: ``file`` or ``directory``.
    type: str
    size: int
    #: Of a file: how many contents it has had. 0 for a directory.
    version: int
    sha256: str | None
    #: None: the administration, or somebody who is no user any more.
    creator_id: Any
    creator_name: str | None
    created_at: datetime
    modified_at: datetime


@attrs.frozen
class Page(Generic[T]):
    """Some of what was asked for; ``next`` is where the rest begins (give it as ``after``), or None."""

    entries: list[T]
    next: str | None = None


@attrs.frozen
class DeletedEntry:
    """Something that was deleted and is kept. ``path`` is where it was."""

    id: int
    path: str
    type: str
    size: int
    deleted_at: datetime
    deleted_by: str | None


@attrs.frozen
class Opened:
    """A content, opened. ``descriptor`` is None where there are no bytes; else whoever gets this closes it."""

    entry: Entry
    descriptor: int | None
    offset: int
    length: int


@attrs.frozen
class Change:
    """What those who watch are told after a commit."""

    #: As in the audit log: ``create``, ``write``, ``delete``, ``move``, ``copy``, ``restore``, ``assign_role`` …
    action: str
    path: str
    #: Where it was before, if it was elsewhere.
    source: str | None
    type: str
    item_id: int
    user: str
    at: datetime


@attrs.frozen
class CloudOptions:
    """What ``Setup`` says of a cloud storage."""

    #: Older contents of a file that are kept, and deletions of one name; 0: none.
    versions: int = 10
    #: Days for which they are, and what was deleted is; 0: none at all.
    keep_days: float = 30
    #: Bytes that each user may keep, unless a quota of their own says otherwise.
    user_quota: int | None = None
    #: Whether the log's rows of what changes nothing are on the disk before the answer, and not a second later.
    reads_synced: bool = False

    def __attrs_post_init__(self) -> None:
        check_count("versions", self.versions)
        days = self.keep_days
        if isinstance(days, bool) or not isinstance(days, (int, float)) or not 0 <= days <= MOST_DAYS:
            raise ConfigurationError(f"keep_days is a number of days from 0 to {MOST_DAYS:,}, not {days!r:.60}")
        check_count("user_quota", self.user_quota, optional=True)
        check_flag("reads_synced", self.reads_synced)

    @property
    def keeps(self) -> bool:
        """Whether anything is kept of what was replaced or deleted."""
        return self.versions > 0 and self.keep_days > 0


#: Told of each change, in the thread that made it; must neither block nor raise.
Listener = Callable[[Change], Any]
