"""Who acts on the cloud storage."""

from __future__ import annotations

from typing import Any

import attrs

from fluxon.cloud import policy


@attrs.frozen
class Agent:
    """The administration, a user, or a stranger; ``name`` is what the audit log keeps."""

    #: The key of the user's row; None for the administration and for strangers.
    user_id: Any
    name: str
    #: Where they are connected from, if from anywhere.
    address: str | None = None
    admin: bool = False

    def __attrs_post_init__(self) -> None:
        if self.admin and self.user_id is not None:
            raise ValueError("the administration is no user")

    @property
    def actor(self) -> policy.Actor:
        """The same, as the policy knows them."""
        if self.admin:
            return policy.ADMIN
        return policy.STRANGER if self.user_id is None else policy.Actor(self.user_id)


#: Code of the server that names no user.
ADMIN = Agent(None, "Admin", admin=True)


def stranger(address: str | None = None) -> Agent:
    """Somebody who has not logged in."""
    return Agent(None, "anonymous", address)
