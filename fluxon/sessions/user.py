"""A user, as a row of the project's AuthenticatedUser was a few seconds ago at most."""

from __future__ import annotations

from typing import Any


class AuthenticatedUser:
    """Whoever is logged in. Columns are attributes: ``request.user.username``.

    Two are equal when their ids are, so ``item.creator == request.user`` asks what it seems to ask. It cannot be
    changed; use the model for that.
    """

    __slots__ = ("_row",)

    def __init__(self, row: Any) -> None:
        object.__setattr__(self, "_row", row)

    @property
    def id(self) -> Any:
        """The user's primary key."""
        return self._row.id

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return getattr(self._row, name)
        except AttributeError:
            raise AttributeError(f"a user has no column {name!r}; it has {', '.join(self._row._fields)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("request.user is a copy; change the row with the model's Update")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AuthenticatedUser):
            return bool(self.id == other.id)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AuthenticatedUser {self.id}>"
