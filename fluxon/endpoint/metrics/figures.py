"""A running server in numbers, for ``ServerCollector``.

Rules kept here: asked from a thread while the reactor goes on, so it only reads, and copies what may change meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from fluxon.database import engine_tables
from fluxon.endpoint.foundation import Foundation
from fluxon.endpoint.listener import Listener
from fluxon.metrics import Requests
from fluxon.routing.groups import Groups

#: A number now, or one that only grows: ``(name, help, labels, value)``.
Sample = tuple[str, str, Mapping[str, str], float]


class Measured(Protocol):
    """One run of a server, as far as it is measured."""

    foundation: Foundation

    @property
    def listeners(self) -> Mapping[str, Listener]:
        """Its ports, by name."""

    @property
    def requests(self) -> Mapping[str, Requests]:
        """What became of requests: views by their names, commands of the cloud by theirs."""

    @property
    def queues(self) -> Mapping[str, int]:
        """What waits for a thread, by the name of the pool."""

    def used(self) -> Mapping[str, float]:
        """What is used of the limits, by their names."""


def used_of_all(run: Measured) -> dict[str, float]:
    """What every kind of run has: ports, the fullest of which counts, sessions, and logins."""
    foundation = run.foundation
    ports = [listener.factory.used() for listener in run.listeners.values()]
    used = {name: max(each[name] for each in ports) for name in ports[0]} if ports else {}
    used.update(foundation.sessions.used(foundation.reactor.seconds()))
    if foundation.database is not None:
        used.update(foundation.database.login_throttle.used())
    return used


def samples(run: Measured) -> Iterator[Sample]:
    """Numbers of the moment, and those that only grow."""
    for name, listener in run.listeners.items():
        factory, port = listener.factory, {"port": name}
        yield "fluxon_connections", "Open connections.", port, len(factory.peers)
        yield "fluxon_connections_accepted_total", "Connections that were accepted.", port, factory.accepted
        yield "fluxon_requests_waiting", "Requests that have begun and have no answer yet.", port, factory.load.count
        yield (
            "fluxon_busy_reads_total",
            "Reads that took so long that their connection had to wait.",
            port,
            factory.busy.count,
        )
        received, sent = {**port, "direction": "received"}, {**port, "direction": "sent"}
        yield "fluxon_bytes_total", "Bytes of connections, without TLS's own.", received, factory.received
        yield "fluxon_bytes_total", "Bytes of connections, without TLS's own.", sent, factory.sent
    yield "fluxon_sessions", "Sessions that are in use.", {}, len(run.foundation.sessions.connected())
    groups: Groups | None = getattr(run, "groups", None)
    if groups is not None:
        yield "fluxon_groups", "Groups that have members.", {}, groups.count
        yield "fluxon_group_members", "Members of all groups together.", {}, groups.places
    for name, waiting in run.queues.items():
        yield "fluxon_queue", "Work that waits for a thread.", {"threads": name}, waiting
    database = run.foundation.database
    if database is None:
        return
    for name, value in database.figures().items():
        yield "fluxon_database", "What the database has open, and what waits.", {"figure": name}, value
    for name, value in database.totals().items():
        yield f"fluxon_database_{name}_total", "What the database has done.", {}, value


def health(run: Measured, stopping: Callable[[], bool]) -> Deferred[str | None]:
    """None if the server takes requests and its database answers; else what is wrong."""
    if stopping():
        return succeed("stopping")
    database = run.foundation.database
    if database is None:
        return succeed(None)
    answer: Deferred[str | None] = database.read(engine_tables.look)
    return answer.addErrback(lambda _: "the database does not answer")
