"""What the storage says of items, versions, assignments and actions, in the words of ``commands.cloud``."""

from __future__ import annotations

from typing import Any


def item(entry: Any) -> dict[str, Any]:
    """An ``ITEM``."""
    return {
        "name": entry.name,
        "path": entry.path,
        "type": entry.type,
        "size": entry.size,
        "version": entry.version,
        "sha256": entry.sha256,
        "creator": entry.creator_name,
        "created_at": entry.created_at,
        "modified_at": entry.modified_at,
    }


def items(page: Any) -> dict[str, Any]:
    """A page of them."""
    return {"items": [item(each) for each in page.entries], "next": page.next}


def version(found: Any) -> dict[str, Any]:
    """A ``VERSION``."""
    return {
        "version": found.version,
        "size": found.size,
        "sha256": found.sha256,
        "at": found.at,
        "by": found.by,
    }


def deleted(entry: Any) -> dict[str, Any]:
    """A ``DELETED``."""
    return {
        "id": entry.id,
        "path": entry.path,
        "type": entry.type,
        "size": entry.size,
        "deleted_at": entry.deleted_at,
        "deleted_by": entry.deleted_by,
    }


def assignment(found: Any) -> dict[str, Any]:
    """An ``ASSIGNMENT``."""
    return {
        "path": found.path,
        "user": found.user,
        "role": found.role,
        "expires_at": found.expires_at,
        "valid_from": _time_of_day(found.valid_from),
        "valid_until": _time_of_day(found.valid_until),
    }


def action(row: Any) -> dict[str, Any]:
    """An ``ACTION``."""
    return {
        "user": row.user,
        "path": row.path,
        "action_type": row.action_type,
        "allowed": row.allowed,
        "outcome": row.outcome,
        "address": row.address,
        "details": row.details,
        "timestamp": row.timestamp,
    }


def _time_of_day(at: Any) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
