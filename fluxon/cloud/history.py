"""What was: the versions of a file, and what the audit log has of a path.

Rules kept here:

- The log is for those who may assign roles, and shows nobody what is below an item at which they may not.
- What was tried where nothing was is the administration's to see: were it shown, a path of which the log says nothing
  would be one at which something hidden is.
- Where something was moved or copied to is shown as that place's own rows are.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fluxon.cloud import audit, cursors, paths, refusals, tree, versions
from fluxon.cloud.audit import Action, Search
from fluxon.cloud.entries import Page
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.reading import MAX_PAGE
from fluxon.cloud.removing import way_to
from fluxon.cloud.versions import Version
from fluxon.errors import InvalidPayload

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage


def of_file(storage: Storage, agent: Agent, path: Any) -> list[Version]:
    """See ``Storage.versions``."""

    def work(op: Operation) -> list[Version]:
        place = op.locate(op.path)
        row = op.require(place, P.READ_FILE)
        if row.type != tree.FILE:
            raise refusals.no_file()
        older = versions.of_item(op.connection, row.id, versions.MAX_LISTED - 1)
        names = storage.users.names(op.connection, [row.modified_by, *(each.created_by for each in older)])
        present = Version(row.version, row.size, row.sha256, row.modified_at, names.get(row.modified_by))
        return [
            present,
            *(
                Version(each.version, each.size, each.sha256, each.created_at, names.get(each.created_by))
                for each in older
            ),
        ]

    return storage.act(agent, "versions", path, work)


def log(
    storage: Storage,
    agent: Agent,
    path: Any,
    user: Any,
    since: datetime | None,
    until: datetime | None,
    after: str | None,
    limit: int,
    item_id: int | None = None,
) -> Page[Action]:
    """See ``Storage.log``."""
    before = cursors.number(after)
    for moment in (since, until):
        if moment is not None and (not isinstance(moment, datetime) or moment.utcoffset() is None):
            raise InvalidPayload("a time of the log is a datetime with its offset from UTC")
    if not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise InvalidPayload(f"a page has 1 to {MAX_PAGE} actions")

    def work(op: Operation) -> Page[Action]:
        place = op.locate(op.path)
        if not agent.admin:
            op.require(place, P.ASSIGN_ROLES)
        search = Search(place.parts, item_id, _user_key(op, user), since, until)
        rows = audit.search(op.connection, search, before, limit)
        shown = [row for row in rows if item_id is not None or audit.is_at(row, place.parts)]
        if not agent.admin:
            may = _Rights(op)
            shown = [may.told(row) for row in shown if may.see(row)]
        return Page(list(audit.actions(shown)), str(rows[-1].id) if len(rows) == limit else None)

    return storage.act(agent, "log", path, work)


def _user_key(op: Operation, user: Any) -> str | None:
    if user is None:
        return None
    found = op.storage.find_user(op.connection, user)
    if found is not None:
        return str(found.id)
    # Who is no user any more is found by the key they had. Of what cannot be one not every database can be asked.
    key = str(user)
    return key if key.isprintable() else ""


class _Rights:
    """Whether the actor may see rows of the log: each item, and each path that is none, is looked at once."""

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._known: dict[Any, bool] = {}

    def see(self, row: Any) -> bool:
        return row.item_id is not None and self._at(row.item_id, row.path)

    def told(self, row: Any) -> Any:
        """The row without what is about a place that is not theirs."""
        details = json.loads(row.details) if row.details else {}
        if "to" not in details or self._at(details["to"], details["to"]):
            return row
        del details["to"]
        return row._replace(details=json.dumps(details, ensure_ascii=False) if details else None)

    def _at(self, key: int | str, path: str) -> bool:
        if key not in self._known:
            self._known[key] = self._may(key, path)
        return self._known[key]

    def _may(self, key: int | str, path: str) -> bool:
        item = tree.item(self._op.connection, key) if isinstance(key, int) else None
        if item is not None:
            return P.ASSIGN_ROLES in way_to(self._op, item)[1][-1].permissions
        # Nothing is there (any more): who may see it is decided at the nearest directory that is.
        place = self._op.locate(paths.parse(path), main=False)
        return P.ASSIGN_ROLES in place.grants[-1].permissions
