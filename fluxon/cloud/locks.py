"""Locks: one holder keeps everybody else from changing a file, until a time or until they let go.

Rules kept here:

- Whoever has the token holds the lock; the token is unguessable, and is kept as its digest.
- A lock whose time is over is none. Its row goes when the next one comes, or with the next sweep.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy import bindparam, select

from fluxon.cloud.tables import ITEMS, LOCKS

_l = LOCKS.c
_OF_ITEM = select(LOCKS).where(_l.item_id == bindparam("item"), _l.until > bindparam("now"))
_DELETE = sqlalchemy.delete(LOCKS).where(_l.item_id == bindparam("item"))
_INSERT = sqlalchemy.insert(LOCKS)
_PURGE = sqlalchemy.delete(LOCKS).where(_l.until <= bindparam("now"))

# Locks are few and short; so the way leads up from each of them, and not down through all that is in a directory.
_held = (
    select(_l.item_id.label("lock"), _l.item_id.label("id"))
    .where(_l.until > bindparam("now"), _l.token != bindparam("token"))
    .cte("held", recursive=True)
)
_held = _held.union_all(
    select(_held.c.lock, ITEMS.c.parent_id).where(
        # In what is deleted nobody is kept from anything.
        ITEMS.c.id == _held.c.id,
        ITEMS.c.parent_id.is_not(None),
        ITEMS.c.deleted_at.is_(None),
    )
)
_BELOW = select(_held.c.lock).where(_held.c.id == bindparam("top")).limit(1)


@attrs.frozen
class Lease:
    """A lock as its holder gets it: what to give with each change, and when it ends."""

    lock: str
    until: datetime


def of_item(connection: Any, item_id: int, now: datetime) -> Any:
    """The row of the lock that holds now, or None."""
    rows = connection.rows(_OF_ITEM, {"item": item_id, "now": now})
    return rows[0] if rows else None


def opens(row: Any, token: str | None) -> bool:
    """Whether ``token`` is that of the lock ``row``; anything is, of None."""
    if row is None:
        return True
    return token is not None and secrets.compare_digest(row.token, _digest(token))


def is_held_below(connection: Any, top: int, token: str | None, now: datetime) -> bool:
    """Whether an item, or something in it, is locked with another token."""
    other = "" if token is None else _digest(token)
    return bool(connection.rows(_BELOW, {"top": top, "now": now, "token": other}))


def take(connection: Any, item_id: int, token: str | None, holder_id: Any, holder_name: str, until: datetime) -> Lease:
    """Lock an item in place of any lock there is; with a new token, unless one is given."""
    token = secrets.token_hex(16) if token is None else token
    connection.run(_DELETE, {"item": item_id})
    row = {"item_id": item_id, "token": _digest(token), "holder_id": holder_id, "holder_name": holder_name}
    connection.run(_INSERT, {**row, "until": until})
    return Lease(token, until)


def release(connection: Any, item_id: int) -> None:
    """End a lock."""
    connection.run(_DELETE, {"item": item_id})


def purge(connection: Any, now: datetime) -> None:
    """Forget the locks whose time is over."""
    connection.run(_PURGE, {"now": now})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
