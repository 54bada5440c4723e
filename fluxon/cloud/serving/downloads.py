"""What clients read: small contents in the answer, others as a stream from the object's descriptor.

Rules of this module: what was opened stays what it was, whatever becomes of the file; a descriptor is closed exactly
once, also when the answer can no longer be sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import attrs

from fluxon.cloud import contents, steps
from fluxon.cloud.agent import Agent
from fluxon.cloud.serving import answers
from fluxon.cloud.serving.clients import Clients, owner_of
from fluxon.cloud.serving.transfers import Slots, Transfers
from fluxon.cloud.steps import Steps
from fluxon.cloud.storage import Storage
from fluxon.commands.cloud import INLINE
from fluxon.errors import Unavailable
from fluxon.limits import Limits
from fluxon.outcomes import Outcome
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
        self._opened = clients.gathering(self._open_all)
        self.slots = Slots("downloads", limits.cloud_downloads, limits.cloud_downloads_per_user)

    async def read(self, peer: Peer, arguments: dict[str, Any]) -> Any:
        """Open a content and send it."""
        ready = await self._opened(peer, arguments)
        if ready.descriptor is None:
            return ready.answer
        owner = owner_of(peer)
        try:
            self.slots.take(owner)
        except BaseException:
            os.close(ready.descriptor)
            raise
        answer = ready.answer
        source = FileSource(ready.descriptor, answer["offset"], answer["length"], self._pool.submit)
        outgoing = Outgoing(source)
        self._transfers.begin(peer, outgoing, lambda: outgoing.sent, lambda: self.slots.give_back(owner))
        return Opening(answer, outgoing)

    def _open_all(self, asked: list[tuple[Agent, dict[str, Any]]]) -> list[Outcome]:
        return steps.run_all(self._storage, [self._open(agent, arguments) for agent, arguments in asked])

    def _open(self, agent: Agent, arguments: dict[str, Any]) -> Steps[_Ready]:
        opened = yield from contents.open_read(
            self._storage,
            agent,
            arguments["path"],
            arguments["offset"],
            arguments.get("length"),
            arguments.get("version"),
        )
        answer = {
            "item": answers.item(opened.entry),
            "offset": opened.offset,
            "length": opened.length,
            "data": None,
            "stream": None,
        }
        descriptor = opened.descriptor
        if descriptor is None:
            return _Ready({**answer, "data": b""}, None)
        if opened.length > INLINE:
            del answer["stream"]
            return _Ready(answer, descriptor)
        try:
            data = _read(lambda at, count: os.pread(descriptor, count, at), opened.offset, opened.length)
        finally:
            os.close(descriptor)
        return _Ready({**answer, "data": data}, None)


def _read(pread: Callable[[int, int], bytes], offset: int, length: int) -> bytes:
    pieces = []
    while length:
        piece = pread(offset, length)
        if not piece:
            raise Unavailable("the file's content is damaged; tell the administrator")
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b"".join(pieces)
