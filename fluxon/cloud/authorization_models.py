"""Authorization models: which roles there are, and who has which at which item.

A model is a class that derives from ``RoleBasedAccessControl``; ``docs/roles.rst`` shows one.

Rules kept here:

- Each call follows ``fluxon.blocking``: on the reactor's thread it returns something to await, elsewhere the result.
- Wrong arguments raise at once, in the caller's own thread, before anything runs.
- Who is meant is never guessed from an empty value. Only leaving ``by`` out means the administration; ``by=None`` and
  ``user=None``, which is what ``request.user`` is for a stranger, mean a stranger.
- What was refused raises. A status is answered only when things are as they were asked to be.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fluxon.cloud import roles
from fluxon.cloud.acting import ABSENT, agent_of, named
from fluxon.cloud.calling import Calls
from fluxon.cloud.constraints import constraint
from fluxon.cloud.declaration import (
    AnonymousPermissions,
    AuthorizationType,
    DefaultRole,
    RootPermissions,
)
from fluxon.cloud.declaration import Role as _Role
from fluxon.cloud.filesystem import Filesystem
from fluxon.cloud.permissions import Permissions
from fluxon.errors import ConfigurationError, InvalidPayload

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage
    from fluxon.workers import WorkerPool

__all__ = [
    "AnonymousPermissions",
    "DefaultRole",
    "Permissions",
    "RoleBasedAccessControl",
    "RootPermissions",
]

T = TypeVar("T")


class _BoundType(AuthorizationType):
    """A model that may be the model of a storage."""

    _calls: Calls | None = None

    @property
    def storage(cls) -> Storage:
        """The storage that this is the model of. Raises ``ConfigurationError`` when there is none."""
        return cls._bound().storage

    @property
    def filesystem(cls) -> Filesystem:
        """The files of that storage."""
        return Filesystem(cls._bound())

    def bind(cls, storage: Storage, pool: WorkerPool | None = None) -> None:
        """Make this the model of an open storage, which is called in ``pool`` for the reactor's thread.

        ``ConfigurationError`` if it is another's already.
        """
        if cls._calls is not None and cls._calls.storage is not storage:
            raise ConfigurationError(f"{cls.__name__} is the model of another storage already; unbind() it first")
        cls._calls = Calls(storage, pool)

    def unbind(cls) -> None:
        """Let go of the storage, so that another may have the model."""
        cls._calls = None

    def _bound(cls) -> Calls:
        if cls._calls is None:
            raise ConfigurationError(
                f"{cls.__name__} is the model of no open storage: name it in router.py "
                f"(Setup(cloud_folder=..., cloud_auth_model={cls.__name__})) and start the server; a script opens a "
                f"Storage and gives it to {cls.__name__}.bind()"
            )
        return cls._calls


class RoleBasedAccessControl(metaclass=_BoundType, base=True):
    """An authorization model: declare its roles in the class body, and ask the class.

    A user is named in one of three ways: ``user=`` (``request.user``, or a row of the AuthenticatedUser), ``user_id=``
    (their key) or ``username=`` (the name they log in by).
    """

    # By another name above: a checker takes a variable for no class to derive from.
    Role: TypeAlias = _Role

    @classmethod
    def assign_role(
        cls,
        *,
        role: Any,
        path: Any,
        user: Any = ABSENT,
        user_id: Any = None,
        username: str | None = None,
        by: Any = ABSENT,
        expires_at: datetime | None = None,
        valid_from: time | str | None = None,
        valid_until: time | str | None = None,
    ) -> Any:
        """Give a user a role at a path, or if they have it there, these limits in place of its own.

        ``by`` is the user who does it, and who must hold the role's permissions there and ``ASSIGN_ROLES``; without it
        the administration does. Answers a dict of ``user_assigned``, ``cloud_relative_path``, ``role`` and ``status``,
        which is "role assigned successfully". Raises ``PermissionDenied`` for who may not, ``NotFound`` for a path or
        a user that is not there, ``InvalidPayload`` for a role that is none of the model's.
        """
        assignee = named(user, user_id, username)
        if assignee is None:
            raise InvalidPayload("a role is assigned to a user, and nobody is logged in")
        limits = constraint(expires_at, valid_from, valid_until)
        return cls._perform(roles.assign, agent_of(by), path, cls._role_name(role), assignee, limits)

    @classmethod
    def remove_role(
        cls,
        *,
        path: Any,
        role: Any = None,
        user: Any = ABSENT,
        user_id: Any = None,
        username: str | None = None,
        by: Any = ABSENT,
    ) -> Any:
        """Take a role at a path from a user; without ``role``, every one they have at that very path.

        Answers a dict as ``assign_role`` does. Its ``role`` names what was taken, and its ``status`` is "role removed
        successfully", or "no such role was assigned" when there was nothing to take. Raises as ``assign_role`` does.
        """
        assignee = named(user, user_id, username)
        if assignee is None:
            raise InvalidPayload("a role is taken from a user, and nobody is logged in")
        # A role that the model lacks may still be assigned, and must be possible to take.
        name = role if role is None or isinstance(role, str) else cls._role_name(role)
        return cls._perform(roles.remove, agent_of(by), path, assignee, name)

    @classmethod
    def can_assign_roles(
        cls, path: Any, user: Any = ABSENT, *, user_id: Any = None, username: str | None = None
    ) -> Any:
        """Whether a user has ``ASSIGN_ROLES`` at a path. False for a path or a user that is not there."""
        return cls._perform(roles.can_assign, path, named(user, user_id, username))

    @classmethod
    def get_user_role(cls, path: Any, user: Any = ABSENT, *, user_id: Any = None, username: str | None = None) -> Any:
        """The names of the roles that count for a user at a path, as a list: assigned there or inherited, or the
        default role; none, one, or several that are joined."""
        return cls._perform(roles.role_names, path, named(user, user_id, username))

    @classmethod
    def get_user_permissions(
        cls, path: Any, user: Any = ABSENT, *, user_id: Any = None, username: str | None = None
    ) -> Any:
        """What a user may do at a path, as a frozenset of ``Permissions``; of a stranger too (``user=None``)."""
        return cls._perform(roles.permissions_of, path, named(user, user_id, username))

    @classmethod
    def explain(
        cls,
        path: Any,
        user: Any = ABSENT,
        permission: Any = None,
        *,
        user_id: Any = None,
        username: str | None = None,
    ) -> Any:
        """Why a user may do at a path what they may, as an ``Explanation`` with a text; for administrators."""
        asked = None if permission is None else _permission(permission)
        return cls._perform(roles.explain, path, named(user, user_id, username), asked)

    @classmethod
    def who_can(cls, path: Any, permission: Any) -> Any:
        """Who has a permission at a path, as ``Holders``; for administrators."""
        return cls._perform(roles.who_can, path, _permission(permission))

    @classmethod
    def _perform(cls, operation: Callable[..., T], *arguments: Any) -> Any:
        calls = cls._bound()
        return calls.perform(partial(operation, calls.storage, *arguments))

    @classmethod
    def _role_name(cls, role: Any) -> str:
        """The name of a role of this model, given as the class or as its name."""
        for name, each in cls.declared_roles.items():
            if role is each or role == name:
                return name
        shown = role.__name__ if isinstance(role, type) else repr(role)[:80]
        known = ", ".join(cls.declared_roles) or "none"
        raise InvalidPayload(f"{shown} is no role of {cls.__name__}, which has: {known}")


def _permission(value: Any) -> Permissions:
    if isinstance(value, Permissions):
        return value
    try:
        return Permissions(value)
    except ValueError:
        raise InvalidPayload(f"{str(value)[:80]!r} is no permission; use one of Permissions") from None
