"""Locking files against changes by others, for a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fluxon.cloud import locks, refusals, tree
from fluxon.cloud.acts import Changes
from fluxon.cloud.locks import Lease
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.writing import must_open
from fluxon.errors import InvalidPayload

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage

#: Seconds; longer work asks again in between, so that a dead holder's lock ends.
MAX_SECONDS = 86_400

_TOKEN = (16, 64)


def lock(storage: Storage, agent: Agent, path: Any, seconds: float, token: str | None) -> Lease:
    """See ``Storage.lock``."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MAX_SECONDS:
        raise InvalidPayload(f"a lock lasts up to {MAX_SECONDS} seconds")
    if token is not None and not (isinstance(token, str) and _TOKEN[0] <= len(token) <= _TOKEN[1]):
        raise InvalidPayload("a lock is what lock() answered")

    def work(op: Operation) -> Lease:
        place = op.locate(op.path)
        row = op.require(place, P.WRITE_FILE)
        if row.type != tree.FILE:
            raise refusals.no_file()
        must_open(op, place, token)
        until = op.now + timedelta(seconds=seconds)
        return locks.take(op.connection, row.id, token, agent.user_id, agent.name, until)

    return storage.act(agent, "lock", path, work, changes=Changes.ANYTHING)


def unlock(storage: Storage, agent: Agent, path: Any, token: str | None) -> None:
    """See ``Storage.unlock``."""

    def work(op: Operation) -> None:
        place = op.locate(op.path)
        if not place.is_visible:
            raise op.unknown(place)
        if not (agent.admin and token is None):
            must_open(op, place, token)
        locks.release(op.connection, place.item.id)

    storage.act(agent, "unlock", path, work, changes=Changes.ANYTHING)
