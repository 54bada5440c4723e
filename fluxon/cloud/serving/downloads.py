"""What clients read: small contents in the answer, others as a stream from the object's descriptor.

Rules of this module: what was opened stays what it was, whatever becomes of the file; a descriptor is closed exactly
once, also when the answer can no longer be sent. Whether something may be read is decided in the database's queue; only
what may be takes a thread for the disk.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import attrs

from fluxon.cloud import contents
from fluxon.cloud.acts import Act
from fluxon.cloud.agent import Agent
from fluxon.cloud.contents import Content
from fluxon.cloud.serving import answers
from fluxon.cloud.serving.clients import Clients, owner_of
from fluxon.cloud.serving.transfers import Slots, Transfers
from fluxon.cloud.storage import Storage
from fluxon.commands.cloud import INLINE
from fluxon.errors import Unavailable
from fluxon.limits import Limits
from fluxon.rpc import FileSource, Opening, Outgoing, Peer
from fluxon.workers import WorkerPool


@attrs.frozen
class _Ready:
    """What a thread has opened: the answer, and a descriptor unless the bytes are in it."""

    answer: dict[str, Any]
    descriptor: int | None


class Downloads:
    """The responder of ``cloud.Read``."""

    def __init__(
        self, storage: Storage, clients: Clients, transfers: Transfers, pool: WorkerPool, limits: Limits
    ) -> None:
        self._storage = storage
        self._clients = clients
        self._transfers = transfers
        self._pool = pool
        self._slots = Slots("downloads", limits.cloud_downloads, limits.cloud_downloads_per_user)

    async def read(self, peer: Peer, arguments: dict[str, Any]) -> Any:
        """Open a content and send it."""
        ready = await self._ready(peer, arguments)
        if ready.descriptor is None:
            return ready.answer
        owner = owner_of(peer)
        try:
            self._slots.take(owner)
        except BaseException:
            os.close(ready.descriptor)
            raise
        answer = ready.answer
        source = FileSource(ready.descriptor, answer["offset"], answer["length"], self._pool.submit)
        outgoing = Outgoing(source)
        self._transfers.begin(peer, outgoing, lambda: outgoing.sent, lambda: self._slots.give_back(owner))
        return Opening(answer, outgoing)

    async def _ready(self, peer: Peer, arguments: dict[str, Any]) -> _Ready:
        for _ in range(contents.TRIES):
            decided_for, content = await self._clients.decide(peer, lambda agent: self._decision(agent, arguments))
            ready = await self._clients.run(peer, partial(self._open, decided_for, content), to_finish=True)
            if ready is not None:
                return ready
        raise Unavailable(contents.DAMAGED)

    def _decision(self, agent: Agent, arguments: dict[str, Any]) -> Act[Content]:
        return self._storage.decision_to_read(
            agent,
            arguments["path"],
            offset=arguments["offset"],
            length=arguments.get("length"),
            version=arguments.get("version"),
        )

    def _open(self, decided_for: Agent, content: Content, agent: Agent) -> _Ready | None:
        """None: it has to be decided anew, for somebody else or because the content is gone."""
        found = contents.opened(self._storage, content) if agent == decided_for else None
        if found is None:
            return None
        answer = {
            "item": answers.item(found.entry),
            "offset": found.offset,
            "length": found.length,
            "data": None,
            "stream": None,
        }
        if found.length > INLINE:
            del answer["stream"]
            return _Ready(answer, found.descriptor)
        return _Ready({**answer, "data": contents.data_of(found)}, None)
