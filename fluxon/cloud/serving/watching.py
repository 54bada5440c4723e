"""Telling clients of changes below the paths that they watch.

Rules of this module:

- Changes are told after their commit, whichever process made them: at once if it was this one, within about a second
  otherwise. While nobody watches nothing is read.
- Each change is shown to each watcher as they may see it at that moment, or not at all.
- A watch ends with its connection, and when that is no longer whose it was. A client that does not keep up is told that
  it has missed something, instead of holding the news of others up.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.cloud.serving.clients import Clients, agent_of, owner_of
from fluxon.cloud.serving.news import Event, News, Place, place_of
from fluxon.cloud.serving.transfers import Slots
from fluxon.cloud.storage import Storage
from fluxon.commands import cloud
from fluxon.errors import FluxonError, NotFound, UnknownView
from fluxon.limits import MAX_TAG, Limits
from fluxon.rpc import Peer
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.cloud")

#: Seconds between looks for what other processes did.
_EVERY = 1.0

#: A client acknowledges what it is told when it has taken it; one that is busy may take a while.
_ACKNOWLEDGE_WITHIN = 60.0


@attrs.define(eq=False)
class _Watch:
    number: int
    peer: Peer
    owner: Hashable
    path: str
    place: Place
    unacknowledged: int = 0
    #: Whether something was not told because too much was unacknowledged.
    missed: bool = False


class Watches:
    """The responders of ``cloud.Watch`` and ``Unwatch``."""

    def __init__(self, storage: Storage, clients: Clients, limits: Limits, reactor: Any) -> None:
        self._storage = storage
        self._clients = clients
        self._limits = limits
        self.slots = Slots("watches", limits.cloud_watches, limits.cloud_watches_per_user)
        self._news = News(storage)
        # Not the clients' threads: news must not keep anybody waiting.
        self._pool = WorkerPool("news", 1, reactor)
        self._numbers = itertools.count(1)
        self._of_peer: dict[Peer, dict[int, _Watch]] = {}
        self._at: dict[Place, set[_Watch]] = {}
        self._running = False
        self._again = False
        self._looking = LoopingCall(self._look, thorough=True)
        self._looking.clock = reactor

    # --- commands -----------------------------------------------------------------------------------------------------

    async def watch(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        """Begin to watch a path that the asker may know of."""
        entry = await self._clients.run(peer, lambda agent: self._storage.stat(agent, arguments["path"]))
        owner = owner_of(peer)
        self.slots.take(owner)
        watch = _Watch(next(self._numbers) & MAX_TAG, peer, owner, entry.path, place_of(entry.path))
        self._of_peer.setdefault(peer, {})[watch.number] = watch
        self._at.setdefault(watch.place, set()).add(watch)
        try:
            if not self._looking.running:
                self._looking.start(_EVERY, now=False)
                self._storage.changed.append(self._changed)
                await self._pool.submit(self._news.begin)
            await self._clients.confirm(peer)
        except BaseException:
            self._end(watch)
            raise
        return {"watch": watch.number}

    async def unwatch(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        """End a watch; one that is not there (any more) is ended already."""
        watch = self._of_peer.get(peer, {}).get(arguments["watch"])
        if watch is not None:
            self._end(watch)
        return {}

    def forget(self, peer: Peer) -> None:
        """The connection is lost."""
        for watch in list(self._of_peer.get(peer, {}).values()):
            self._end(watch)

    def stop(self) -> None:
        """End all of them."""
        for peer in list(self._of_peer):
            self.forget(peer)
        self._pool.stop()

    def _end(self, watch: _Watch) -> None:
        watches = self._of_peer.get(watch.peer, {})
        if watches.pop(watch.number, None) is None:
            return
        self.slots.give_back(watch.owner)
        if not watches:
            del self._of_peer[watch.peer]
        self._at[watch.place].discard(watch)
        if not self._at[watch.place]:
            del self._at[watch.place]
        if not self._of_peer and self._looking.running:
            self._looking.stop()
            self._storage.changed.remove(self._changed)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _changed(self, *_: Any) -> None:
        """From any thread: this process has committed something."""
        self._clients.from_thread(self._look)

    def _look(self, thorough: bool = False) -> None:
        if self._running:
            self._again = True
        elif self._of_peer:
            self._running = True
            Deferred.fromCoroutine(self._tell_news(thorough)).addBoth(self._looked)

    def _looked(self, result: Any) -> None:
        if isinstance(result, Failure):
            _log.failure("looking for changes failed; what was missed comes with the next look", result)
        self._running = False
        again, self._again = self._again, False
        if again:
            self._look()

    async def _tell_news(self, thorough: bool) -> None:
        if thorough:
            for watch in [each for watches in self._of_peer.values() for each in watches.values() if each.missed]:
                self._tell_missed(watch)
        events = await self._pool.submit(self._news.read, thorough)
        wanted = [(watch, event) for event in events for watch in self._watching(event)]
        peers = {watch.peer for watch, _ in wanted}
        await DeferredList([Deferred.fromCoroutine(self._still_theirs(peer)) for peer in peers])
        wanted = [(watch, event) for watch, event in wanted if watch.number in self._of_peer.get(watch.peer, {})]
        if not wanted:
            return
        asked = [(agent_of(watch.peer), watch.place, event) for watch, event in wanted]
        seen = await self._pool.submit(self._news.as_seen, asked)
        for (watch, _), news in zip(wanted, seen, strict=True):
            if news is not None:
                self._tell(watch, news)

    def _watching(self, event: Event) -> set[_Watch]:
        found: set[_Watch] = set()
        for place in event.places:
            for depth in range(len(place) + 1):
                found |= self._at.get(place[:depth], set())
        return found

    async def _still_theirs(self, peer: Peer) -> None:
        """End the watches of a connection that is not, or no longer known to be, whose they were."""
        try:
            await self._clients.confirm(peer)
        except FluxonError:
            for watch in self._of_peer.get(peer, {}).values():
                watch.missed = True
            return
        owner = owner_of(peer)
        for watch in list(self._of_peer.get(peer, {}).values()):
            if watch.owner != owner:
                self._send(watch, _notice(watch, "ended"))
                self._end(watch)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, watch: _Watch, news: dict[str, Any]) -> None:
        if watch.missed or watch.unacknowledged >= self._limits.cloud_news:
            watch.missed = True
        else:
            self._send(watch, {"watch": watch.number, **news})

    def _send(self, watch: _Watch, arguments: dict[str, Any]) -> None:
        watch.unacknowledged += 1
        watch.peer.ask(cloud.Changed, arguments, _ACKNOWLEDGE_WITHIN).addBoth(self._acknowledged, watch)

    def _acknowledged(self, result: Any, watch: _Watch) -> None:
        watch.unacknowledged -= 1
        if not isinstance(result, Failure):
            self._tell_missed(watch)
        elif result.check(NotFound, UnknownView):
            self._end(watch)  # the client has no ear for it
        else:
            watch.missed = True  # it is told with the next look

    def _tell_missed(self, watch: _Watch) -> None:
        if watch.missed and not watch.unacknowledged and watch.number in self._of_peer.get(watch.peer, {}):
            watch.missed = False
            self._send(watch, _notice(watch, "missed"))


def _notice(watch: _Watch, action: str) -> dict[str, Any]:
    """What is said of the watch itself, and not of an item."""
    return {
        "watch": watch.number,
        "action": action,
        "path": watch.path,
        "source": None,
        "type": "directory",
        "user": "",
        "at": datetime.now(UTC),
    }
