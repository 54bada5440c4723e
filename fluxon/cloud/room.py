"""Whether a content fits in the quotas that it counts in, and what is counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxon.cloud import quotas, refusals
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.place import Place

if TYPE_CHECKING:
    from fluxon.cloud.operation import Operation


class Room:
    """The quotas that a file's bytes count in: its creator's, and those of the directories that it is in."""

    def __init__(self, operation: Operation, creator_id: Any, directory: Place, more: int) -> None:
        self._operation = operation
        self._place = directory
        self._creator_id = creator_id
        connection = operation.connection
        self._user = None if creator_id is None else quotas.of_user(connection, creator_id)
        self._directories = quotas.of_directories(connection, directory.ids) if operation.has_directory_quotas() else []
        if more > 0:
            self._check(more)

    def _check(self, more: int) -> None:
        user, agent = self._user, self._operation.agent
        if self._creator_id is not None:
            limit = quotas.limit_of(user, self._operation.storage.options.user_quota)
            used, replaced = (0, 0) if user is None else (user.used, user.replaced)
            if limit is not None and used + more > limit:
                own = agent.admin or agent.user_id == self._creator_id
                raise refused("the file's creator", limit, used, replaced, more, own)
        for row in self._directories:
            limit = quotas.limit_of(row, None)
            if limit is not None and row.used + more > limit:
                raise of_directory("a directory that it is in", limit, row, more, self._place)

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


def refused(whose: str, limit: int, used: int, replaced: int, more: int, is_told: bool) -> refusals.Refused:
    """No room; how much somebody else keeps is not everybody's to know."""
    if is_told:
        return refusals.over_quota(whose, limit, used, replaced, more)
    return refusals.over_other_quota(whose)


def of_directory(whose: str, limit: int, row: Any, more: int, place: Place) -> refusals.Refused:
    """No room in the quota ``row`` of a directory on the way to ``place``: told in figures to whom ``usage`` tells."""
    grant = dict(zip(place.ids, place.grants, strict=True))[row.item_id]
    is_told = Permissions.ASSIGN_ROLES in grant.permissions
    return refused(whose, limit, row.used, row.replaced, more, is_told)
