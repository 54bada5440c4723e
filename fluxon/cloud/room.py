"""Whether a content fits in the quotas that it counts in, and what is counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxon.cloud import quotas, refusals

if TYPE_CHECKING:
    from fluxon.cloud.operation import Operation


class Room:
    """The quotas that a file's bytes count in: its creator's, and those of the directories that it is in."""

    def __init__(self, operation: Operation, creator_id: Any, directories: list[int], more: int) -> None:
        self._operation = operation
        self._creator_id = creator_id
        connection = operation.connection
        self._user = None if creator_id is None else quotas.of_user(connection, creator_id)
        self._directories = quotas.of_directories(connection, directories) if operation.has_directory_quotas() else []
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
