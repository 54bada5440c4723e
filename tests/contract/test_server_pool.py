"""The connections of a database on a server: who waits, which are replaced, and when a server is asked again."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy
from server_cases import MySQLServer, PostgreSQLServer, ServerCase
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.servers import opening, pool
from fluxon.errors import FluxonError, ResourceExhausted, Unavailable


class Pool(ServerCase):
    """A database whose pools have one connection each."""

    def setUp(self: Any) -> None:
        ServerCase.setUp(self)
        self.patch(opening, "CONNECTIONS", 1)
        self.database.close()  # the next opening has such pools

    def number(self: Any) -> int:
        """What the server calls the connection that reads."""
        query = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}[self.adapter.dialect_name]
        return int(self.database.read_blocking(lambda connection: connection.answer(query))[0][0])

    def at_the_same_time(self: Any, call: Callable[[], Any], while_it_waits: Callable[[], None]) -> Any:
        """What ``call`` answers or raises in another thread, while this one has the only connection that writes."""
        found: list[Any] = []

        def run() -> None:
            try:
                found.append(call())
            except FluxonError as error:
                found.append(error)

        def work() -> None:
            thread = threading.Thread(target=run)
            thread.start()
            while thread.is_alive() and not self.figure("waits so far"):
                thread.join(0.001)
            while_it_waits()
            thread.join(30)

        self.database.transaction(work)
        return found[0]

    def figure(self: Any, name: str, kind: str = "writing") -> Any:
        return self.database.figures()[f"{kind} connections, {name}"]

    def test_the_only_one_is_in_use(self: Any) -> None:
        """Who waits for long is told that all are in use, and the next who comes is served."""
        self.patch(pool, "WAIT_SECONDS", 0.05)
        told = self.at_the_same_time(lambda: self.Note.Insert(text="a"), lambda: None)
        self.assertIsInstance(told, ResourceExhausted)
        self.assertIn("all 1 connections", told.text)
        self.assertEqual((self.figure("waits so far"), self.figure("open")), (1, 1))
        self.assertEqual((self.count(), self.Note.Insert(text="b") > 0), (0, True))

    def test_closed_while_somebody_waits(self: Any) -> None:
        """Who waits is told at once; what runs comes to its end and is kept, and its connection is closed after it."""

        def close() -> None:
            self.Note.Insert(text="kept")
            self.database.close()

        told = self.at_the_same_time(lambda: self.Note.Insert(text="late"), close)
        self.assertIsInstance(told, Unavailable)
        self.assertIn("closed", told.text)
        self.assertEqual([row.text for row in self.Note.Check()], ["kept"])

    def test_a_connection_that_was_idle_for_long(self: Any) -> None:
        """It is closed and another opened in its place; one that was used just now is used again."""
        first = self.number()
        self.assertEqual(self.number(), first)
        self.patch(pool, "MAX_IDLE_SECONDS", 0.0)
        self.assertNotEqual(self.number(), first)
        self.assertEqual((self.figure("open", "reading"), self.figure("idle", "reading")), (1, 1))

    @contextlib.contextmanager
    def server_gone(self: Any, port: int) -> Iterator[None]:
        """Every connection is lost, and new ones are made at this port of the machine."""
        self.number()
        self.kill()
        url, gone = self.database.url, {"connect_timeout": "2"}
        self.database.url = sqlalchemy.make_url(self.url).set(host="127.0.0.1", port=port, query=gone)
        yield
        self.database.url = url

    def test_a_server_that_refused_is_asked_again(self: Any) -> None:
        """A refusal comes at once, so the next call tries: the server may be back."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        with self.server_gone(port):
            self.assertRaises(Unavailable, self.Note.Count)
        self.assertEqual(self.Note.Count(), 0)
        self.assertEqual(self.figure("open", "reading"), 1)

    def test_a_server_that_was_silent_is_left_alone_for_a_moment(self: Any) -> None:
        """The first waits in vain; whoever comes after is told at once, also when the server is back, until later."""
        self.patch(pool, "SILENCE_SECONDS", 1.5)
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        with self.server_gone(listening.getsockname()[1]):
            self.assertRaises(Unavailable, self.Note.Count)
        begun = time.monotonic()
        self.assertRaises(Unavailable, self.Note.Count)
        self.assertLess(time.monotonic() - begun, 1.0)
        self.database.close()  # a new opening knows nothing of it
        self.assertEqual(self.Note.Count(), 0)


class PoolOfPostgreSQL(PostgreSQLServer, Pool, SynchronousTestCase):
    """PostgreSQL."""


class PoolOfMySQL(MySQLServer, Pool, SynchronousTestCase):
    """MariaDB or MySQL."""
