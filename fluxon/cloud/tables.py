"""The tables of the cloud storage.

Rules kept here:

- One declaration, made twice: ``ITEMS`` and its siblings are what the statements of this room name, and
  ``tables_for(user_table)`` what a database gets, with references to the project's users.
- Who is no longer a user leaves NULL: what they made belongs to the administration. What only concerned them (roles,
  quota, lock) goes with them.
- The audit log refers to no item, and keeps names and keys as texts: it outlives what it tells of.
- Keys are compared byte by byte on every database (PostgreSQL is told; SQLite and MariaDB do so here anyway), and
  nothing longer than MariaDB can index is indexed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, Time

from fluxon.cloud.paths import MAX_COMPONENT, MAX_KEY
from fluxon.database.types import UTCDateTime

#: Hexadecimal digits of a SHA-256.
_DIGEST = 64

#: Characters of a path that its index knows; MariaDB could take 768. More would only make the index larger.
PLACE = 190


def tables_for(users: Table) -> list[Table]:
    """The tables, in an order in which they can be made; ``users`` is the AuthenticatedUser's, and must be there."""
    return _declare(users)


def _bytewise(length: int) -> sqlalchemy.types.TypeEngine[Any]:
    """A text whose order and equality are those of its characters' numbers."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _declare(users: Table | None) -> list[Table]:
    metadata = MetaData()

    def user(name: str, gone: str = "SET NULL", **options: Any) -> Column[Any]:
        """A column that refers to a user, of the very type of their key."""
        if users is None:
            return Column(name, Integer, **options)
        key = users.c.id
        options.setdefault("index", not options.get("unique"))
        return Column(name, key.type, ForeignKey(key, ondelete=gone), **options)

    def item(name: str, **options: Any) -> Column[Any]:
        return Column(name, BigInteger, ForeignKey("filesystem_items.id", ondelete="CASCADE"), **options)

    items = Table(
        "filesystem_items",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        # Only "/" has none. No cascade: what is in a directory is never gone by accident.
        Column("parent_id", BigInteger, ForeignKey("filesystem_items.id")),
        Column("name", String(MAX_COMPONENT), nullable=False),
        # The name without its case. NULL when the item is deleted: then no path leads to it, and its name is free.
        Column("name_key", _bytewise(MAX_KEY)),
        # Bytes of the name, for the length of paths.
        Column("name_size", Integer, nullable=False),
        Column("type", String(16), nullable=False),
        user("creator_id"),
        # Of a file: its present content.
        Column("size", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("object", String(_DIGEST), unique=True),
        Column("sha256", String(_DIGEST)),
        Column("created_at", UTCDateTime, nullable=False),
        Column("modified_at", UTCDateTime, nullable=False),
        user("modified_by"),
        # Of the item at which something was deleted; what was in it stays as it was, below it.
        Column("deleted_at", UTCDateTime, index=True),
        user("deleted_by"),
        Column("deleted_key", _bytewise(MAX_KEY)),
        Index("uq_filesystem_items_name", "parent_id", "name_key", unique=True),
        Index("ix_filesystem_items_deleted", "parent_id", "deleted_key"),
        info={"version": 1},
    )
    versions = Table(
        "filesystem_versions",
        metadata,
        item("item_id", primary_key=True, autoincrement=False),
        Column("version", BigInteger, primary_key=True, autoincrement=False),
        Column("size", BigInteger, nullable=False),
        Column("object", String(_DIGEST), unique=True),
        Column("sha256", String(_DIGEST)),
        # When it became the file's content, and when another did.
        Column("created_at", UTCDateTime, nullable=False),
        user("created_by"),
        Column("replaced_at", UTCDateTime, nullable=False, index=True),
        info={"version": 1},
    )
    locks = Table(
        "filesystem_locks",
        metadata,
        item("item_id", primary_key=True, autoincrement=False),
        Column("token", String(_DIGEST), nullable=False),
        user("holder_id", "CASCADE"),
        Column("holder_name", Text, nullable=False),
        Column("until", UTCDateTime, nullable=False, index=True),
        info={"version": 1},
    )
    quotas = Table(
        "filesystem_quotas",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        # One of the two.
        user("user_id", "CASCADE", unique=True),
        item("item_id", unique=True),
        # NULL: the server's default for a user. Negative: none.
        Column("bytes_limit", BigInteger),
        # Every byte that is kept, and how many of them belong to contents that were replaced.
        Column("used", BigInteger, nullable=False),
        Column("replaced", BigInteger, nullable=False),
        info={"version": 1},
    )
    roles = Table(
        "filesystem_roles",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("name", _bytewise(MAX_COMPONENT), nullable=False, unique=True),
        info={"version": 1},
    )
    permissions = Table(
        "filesystem_permissions",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("name", _bytewise(64), nullable=False, unique=True),
        info={"version": 1},
    )
    role_permissions = Table(
        "filesystem_role_permissions",
        metadata,
        Column("role_id", BigInteger, ForeignKey("filesystem_roles.id", ondelete="CASCADE"), primary_key=True),
        Column(
            "permission_id",
            BigInteger,
            ForeignKey("filesystem_permissions.id", ondelete="CASCADE"),
            primary_key=True,
            index=True,
        ),
        info={"version": 1},
    )
    assigned_roles = Table(
        "filesystem_assigned_roles",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        item("item_id", nullable=False),
        user("user_id", "CASCADE", nullable=False, index=False),
        Column("role_id", BigInteger, ForeignKey("filesystem_roles.id"), nullable=False, index=True),
        Column("assigned_at", UTCDateTime, nullable=False),
        user("assigned_by"),
        # For one user along the way up; for all users at one item.
        Index("uq_filesystem_assigned_roles", "user_id", "item_id", "role_id", unique=True),
        Index("ix_filesystem_assigned_roles_item_id", "item_id"),
        info={"version": 1},
    )
    constraints = Table(
        "filesystem_constraints",
        metadata,
        Column(
            "assigned_role_id",
            BigInteger,
            ForeignKey("filesystem_assigned_roles.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        Column("expires_at", UTCDateTime, index=True),
        # Times of day, UTC.
        Column("valid_from", Time),
        Column("valid_until", Time),
        info={"version": 1},
    )
    audit_logs = Table(
        "filesystem_audit_logs",
        metadata,
        # In the order of time, so that a time is a range of keys.
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("at", UTCDateTime, nullable=False),
        user("user_id"),
        # The same as texts: what is left when the user is not.
        Column("user_key", _bytewise(_DIGEST), nullable=False),
        Column("user_name", Text, nullable=False),
        Column("action", String(32), nullable=False),
        Column("item_id", BigInteger),
        Column("item_type", String(16)),
        Column("path", Text, nullable=False),
        # The path's beginning without its case, for the index.
        Column("place", _bytewise(PLACE), nullable=False),
        Column("outcome", String(64), nullable=False),
        Column("address", String(64)),
        Column("details", Text),
        Index("ix_filesystem_audit_logs_place", "place", "id"),
        Index("ix_filesystem_audit_logs_user", "user_key", "id"),
        Index("ix_filesystem_audit_logs_item", "item_id", "id"),
        info={"version": 1},
    )
    return [
        items,
        versions,
        locks,
        quotas,
        roles,
        permissions,
        role_permissions,
        assigned_roles,
        constraints,
        audit_logs,
    ]


def _named(tables: Sequence[Table], name: str) -> Table:
    return next(table for table in tables if table.name == name)


_all = _declare(None)
ITEMS = _named(_all, "filesystem_items")
VERSIONS = _named(_all, "filesystem_versions")
LOCKS = _named(_all, "filesystem_locks")
QUOTAS = _named(_all, "filesystem_quotas")
ROLES = _named(_all, "filesystem_roles")
PERMISSIONS = _named(_all, "filesystem_permissions")
ROLE_PERMISSIONS = _named(_all, "filesystem_role_permissions")
ASSIGNED_ROLES = _named(_all, "filesystem_assigned_roles")
CONSTRAINTS = _named(_all, "filesystem_constraints")
AUDIT_LOGS = _named(_all, "filesystem_audit_logs")
