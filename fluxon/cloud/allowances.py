"""Setting quotas, and what is used of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxon.cloud import quotas, refusals
from fluxon.cloud.acts import Changes
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.quotas import Usage
from fluxon.errors import InvalidPayload, PermissionDenied

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage


def set_quota(storage: Storage, agent: Agent, limit: int | None, user: Any, path: Any) -> Usage:
    """See ``Storage.set_quota``."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or not -1 <= limit < 2**63):
        raise InvalidPayload("a quota is a number of bytes, None, or UNLIMITED")
    _one_of(user, path)

    def work(op: Operation) -> Usage:
        op.details["limit"] = limit
        if path is None:
            _admin_only(op)
            found = storage.get_user(op.connection, user)
            op.details["user"] = found.name
            return _of_user(op, found.id, limit)
        place = op.locate(op.path)
        _admin_only(op)
        row = op.require_directory(place, P.READ_TREE_DIRECTORY)
        return _of_directory(op, row, limit)

    return storage.act(agent, "set_quota", "/" if path is None else path, work, changes=Changes.ANYTHING)


def usage(storage: Storage, agent: Agent, user: Any, path: Any) -> Usage:
    """See ``Storage.usage``."""
    _one_of(user, path)

    def work(op: Operation) -> Usage:
        if path is None:
            found = storage.find_user(op.connection, user)
            if not agent.admin and (found is None or agent.user_id != found.id):
                _admin_only(op)
            if found is None:
                found = storage.get_user(op.connection, user)
            return _usage_of(op, found.id)
        place = op.locate(op.path)
        directory = op.require_directory(place, P.ASSIGN_ROLES)
        rows = quotas.of_directories(op.connection, [directory.id])
        if rows:
            return Usage(rows[0].used, rows[0].replaced, quotas.limit_of(rows[0], None))
        kept = quotas.total(quotas.kept_within(op.connection, directory.id).values())
        return Usage(kept.used, kept.replaced, None)

    return storage.act(agent, "usage", "/" if path is None else path, work)


def _one_of(user: Any, path: Any) -> None:
    if (user is None) == (path is None):
        raise InvalidPayload("a quota is a user's or a directory's: one of the two")


def _admin_only(op: Operation) -> None:
    if not op.agent.admin:
        raise refusals.Refused(PermissionDenied("quotas are the administration's"))


def _of_user(op: Operation, user_id: Any, limit: int | None) -> Usage:
    row = quotas.of_user(op.connection, user_id)
    if row is None:
        quotas.make(op.connection, op.storage.draw(), user_id=user_id, limit=limit, used=Usage(0, 0, None))
    else:
        quotas.set_limit(op.connection, row.id, limit)
    return _usage_of(op, user_id)


def _usage_of(op: Operation, user_id: Any) -> Usage:
    row = quotas.of_user(op.connection, user_id)
    limit = quotas.limit_of(row, op.storage.options.user_quota)
    return Usage(0, 0, limit) if row is None else Usage(row.used, row.replaced, limit)


def _of_directory(op: Operation, directory: Any, limit: int | None) -> Usage:
    rows = quotas.of_directories(op.connection, [directory.id])
    if limit is None or limit == quotas.UNLIMITED:
        for row in rows:
            quotas.remove(op.connection, row.id)
        return Usage(rows[0].used, rows[0].replaced, None) if rows else Usage(0, 0, None)
    if rows:
        quotas.set_limit(op.connection, rows[0].id, limit)
        return Usage(rows[0].used, rows[0].replaced, limit)
    kept = quotas.total(quotas.kept_within(op.connection, directory.id).values())
    used = Usage(kept.used, kept.replaced, limit)
    quotas.make(op.connection, op.storage.draw(), item_id=directory.id, limit=limit, used=used)
    return used
