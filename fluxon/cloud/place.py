"""Where a path leads, and what somebody may do along it."""

from __future__ import annotations

from typing import Any

import attrs

from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import Grant


@attrs.frozen
class Place:
    """Where a path leads: the rows from ``/`` on, as far as they are there, and what the actor may do at each."""

    parts: tuple[str, ...]
    rows: tuple[Any, ...]
    grants: tuple[Grant, ...]

    @property
    def is_there(self) -> bool:
        """Whether there is an item at the path, visible or not."""
        return len(self.rows) == len(self.parts) + 1

    @property
    def is_visible(self) -> bool:
        """Whether there is one that the actor may know of."""
        return self.is_there and bool(self.grants[-1].permissions)

    @property
    def item(self) -> Any:
        """The row of the item. Only where it ``is_there``."""
        return self.rows[-1]

    @property
    def grant(self) -> Grant:
        """What the actor may do there. Only where it ``is_there``."""
        return self.grants[-1]

    @property
    def path(self) -> tuple[str, ...]:
        """The path, with the names of what is there as they were given when it was made."""
        return tuple(row.name for row in self.rows[1:]) + self.parts[len(self.rows) - 1 :]

    @property
    def ids(self) -> list[int]:
        """The keys of the rows."""
        return [row.id for row in self.rows]

    def may(self, *permissions: Permissions) -> bool:
        """Whether the actor has one of these at the item, and it is there."""
        return self.is_there and any(each in self.grant.permissions for each in permissions)

    @property
    def parent(self) -> Place:
        """The place of the directory that the path is in."""
        count = len(self.parts)
        return Place(self.parts[:-1], self.rows[:count], self.grants[:count])
