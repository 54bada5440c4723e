"""Authorization models: which roles there are, and who has which at which item.

A model is a class that derives from ``RoleBasedAccessControl``; ``docs/roles.rst`` shows one.

Rules kept here:

- Each call follows ``fluxon.blocking``: on the reactor's thread it returns something to await, elsewhere the result.
- Wrong arguments raise at once, in the caller's own thread, before anything runs.
- Who acts is never guessed from an empty value: only leaving ``by`` out means the administration, and ``by=None`` or
  ``user=None``, which is what ``request.user`` is for a stranger, means a stranger.
"""

from __future__ import annotations

from fluxon.cloud.declaration import (
    AnonymousPermissions,
    AuthorizationType,
    DefaultRole,
    Role,
    RootPermissions,
)
from fluxon.cloud.permissions import Permissions

__all__ = [
    "AnonymousPermissions",
    "DefaultRole",
    "Permissions",
    "RoleBasedAccessControl",
    "RootPermissions",
]


class RoleBasedAccessControl(metaclass=AuthorizationType, base=True):
    """An authorization model: declare its roles in the class body."""

    Role = Role
