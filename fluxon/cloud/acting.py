"""Who is meant, and who acts, from what a program gives.

Rules kept here:

- Nothing is guessed from an empty value. Leaving the user out means the administration where something is done;
  ``None``, which is what ``request.user`` is for a stranger, is a stranger.
- What names no user at all is a ``TypeError``, at once.
"""

from __future__ import annotations

from typing import Any, Final

from fluxon.caller import caller_address
from fluxon.cloud.agent import ADMIN, Agent, stranger
from fluxon.cloud.users import Named
from fluxon.database.authentication import LOGIN_NAMES


class _Absent:
    """The type of ``ABSENT``: the argument was left out, which is not the same as None."""

    def __repr__(self) -> str:
        return "…"


ABSENT: Final[Any] = _Absent()


def named(user: Any = ABSENT, user_id: Any = None, username: str | None = None) -> Named | None:
    """Who is meant by the three ways to name a user; None: a stranger (``user=None``).

    ``TypeError`` unless it is one of the three.
    """
    given = [each for each in (user, user_id, username) if each is not ABSENT and each is not None]
    if len(given) > 1:
        raise TypeError("name the user once: user=, user_id= or username=")
    if not given:
        if user is ABSENT:
            raise TypeError("name the user: user=, user_id= or username=")
        return None
    if username is not None:
        if not isinstance(username, str):
            raise TypeError("username= is text")
        return Named(name=username)
    return Named(_key_of(user) if user_id is None else user_id)


def agent_of(user: Any = ABSENT) -> Agent:
    """Who acts: ``user``, a stranger if it is None, the administration if it was left out.

    ``user`` is ``request.user``, or a row of the AuthenticatedUser. Within a view its client's address is the agent's.
    """
    if user is ABSENT:
        return ADMIN
    if user is None:
        return stranger(caller_address())
    return Agent(_key_of(user), name_of(user), caller_address())


def name_of(user: Any) -> str:
    """What the log calls a user: the name that they log in by."""
    return next((str(getattr(user, each)) for each in LOGIN_NAMES if hasattr(user, each)), str(user.id))


def _key_of(user: Any) -> Any:
    try:
        return user.id
    except AttributeError:
        raise TypeError(
            f"a user is request.user, or a row of the AuthenticatedUser; not {type(user).__name__}"
        ) from None
