"""Database servers that fail: connections lost at every point, servers that are down, silent, or not there."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from typing import Any

import database_servers
import sqlalchemy
from server_cases import MySQLServer, PostgreSQLServer, Proxy, ServerCase
from twisted.internet import reactor
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase
from fluxon.database.query import where
from fluxon.database.servers import opening
from fluxon.errors import (
    ConfigurationError,
    OutcomeUnknown,
    Unavailable,
)


class Connections(ServerCase):
    """What a program notices of it."""

    def test_lost_connections_are_replaced(self: Any) -> None:
        """After all connections were ended, the next read and the next write work."""
        Note = self.Note
        self.assertEqual(Note.Insert(text="a"), 1)
        self.assertEqual(Note.Count(), 1)
        self.kill()
        self.assertEqual(Note.Count(), 1)
        self.assertEqual(Note.Insert(text="b"), 2)
        self.kill()
        self.assertEqual(Note.Update({"size": 5}, where[Note.id == 1]), 1)
        self.assertEqual(Note.Count(), 2)

    def test_a_connection_lost_inside_a_transaction(self: Any) -> None:
        """The work runs again on a new connection, and is kept once."""
        runs = []

        def work() -> Any:
            key = self.Note.Insert(text="a")
            runs.append(key)
            if len(runs) == 1:
                self.kill()
            self.Note.Insert(text="b")
            return self.Note.Count()

        self.assertEqual(self.database.transaction(work), 2)
        self.assertEqual((len(runs), self.count()), (2, 2))

    def test_work_that_overlooks_the_loss_keeps_nothing_of_it(self: Any) -> None:
        """Swallowing the error does not let half of a transaction through."""
        runs = []

        def work() -> None:
            self.Note.Insert(text=f"first {len(runs)}")
            runs.append(1)
            if len(runs) == 1:
                self.kill()
            with contextlib.suppress(Unavailable):
                self.Note.Insert(text=f"second {len(runs)}")

        self.database.transaction(work)
        self.assertEqual({row.text for row in self.Note.Check()}, {"first 1", "second 2"})

    def test_a_connection_lost_while_it_commits(self: Any) -> None:
        """OutcomeUnknown, whether the server heard it or not; nothing is done twice, and the next call works."""
        proxy = Proxy(sqlalchemy.make_url(self.url), self.default_port)
        self.addCleanup(proxy.close)
        self.elsewhere(host="127.0.0.1", port=proxy.port, query={})
        self.Note.Insert(text="a")
        proxy.cut = "before"
        self.assertRaises(OutcomeUnknown, self.Note.Insert, text="b")
        self.assertEqual(self.count(), 1)
        proxy.cut = "after"
        self.assertRaises(OutcomeUnknown, self.Note.Insert, text="c")
        self.assertEqual(self.count(), 2)
        self.assertIsNot(self.Note.Insert(text="d"), False)

    def test_a_server_that_is_down(self: Any) -> None:
        """Unavailable at once, with no word of the server's address."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        self.elsewhere(host="127.0.0.1", port=port, query={})
        for call in (self.Note.Count, lambda: self.Note.Insert(text="a")):
            error = self.assertRaises(Unavailable, call)
            self.assertNotIn(str(port), error.text)

    def test_a_server_that_is_silent(self: Any) -> None:
        """Something that takes the connection and says nothing is given up on."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        self.rebind(
            self.adapter(sqlalchemy.make_url(self.url).set(host="127.0.0.1", port=port, query={"connect_timeout": "2"}))
        )
        begun, told = time.monotonic(), []

        def ask() -> None:
            told.append(self.assertRaises(Unavailable, self.Note.Count))

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(len(told), 20)
        self.assertLess(time.monotonic() - begun, 10)

    def test_a_wrong_url(self: Any) -> None:
        """Says what to look at, and does not show the password."""
        self.elsewhere(database="fluxon_nowhere")
        self.assertIn("URL", self.assertRaises(ConfigurationError, self.Note.Count).text)
        for wrong in ("sqlite:///x", "nothing", f"{self.adapter.schemes[0]}://user:secret@host", "", None):
            error = self.assertRaises(ConfigurationError, self.adapter, wrong)
            self.assertNotIn("secret", error.text)
        self.assertNotIn("secret", repr(self.adapter(f"{self.adapter.schemes[0]}://user:secret@host/name")))

    def test_a_missing_driver(self: Any) -> None:
        """Says what to type."""
        self.patch(sys, "modules", {**sys.modules, self.driver: None})
        error = self.assertRaises(ConfigurationError, self.adapter, self.url)
        self.assertIn(f"pip install 'fluxon[{self.adapter.dialect_name}]'", error.text)

    def test_connections_are_bounded(self: Any) -> None:
        """Fifty threads share eight connections of each kind, and all are answered."""
        answers, most = [], []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                most.append(self.connections())

        def ask(number: int) -> None:
            answers.append(self.Note.Insert(text=str(number)))
            answers.append(self.Note.Count() > 0)

        watcher = threading.Thread(target=watch)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
        for each in (watcher, *threads):
            each.start()
        for each in threads:
            each.join()
        done.set()
        watcher.join()
        self.assertEqual(len(answers), 100)
        self.assertNotIn(False, answers)
        self.assertLessEqual(max(most), 2 * opening.CONNECTIONS + 1)

    def test_a_fork_leaves_its_parents_connections_alone(self: Any) -> None:
        """The child asks on a connection of its own; the parent's goes on working."""
        self.assertEqual(self.Note.Count(), 0)
        child = os.fork()
        if child == 0:
            os._exit(0 if self.Note.Insert(text="child") == 1 else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.Note.Count(), 1)
        self.assertIsNot(self.Note.Insert(text="parent"), False)

    def test_closed_and_opened_again(self: Any) -> None:
        """``close`` leaves no connection; the next call opens the database again."""
        self.Note.Insert(text="a")
        self.database.close()
        until = time.monotonic() + 5  # the server needs a moment to notice
        while self.connections() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(self.connections(), 0)
        self.assertEqual(self.Note.Count(), 1)


class ConnectionsToPostgreSQL(PostgreSQLServer, Connections, SynchronousTestCase):
    """PostgreSQL."""


class ConnectionsToMySQL(MySQLServer, Connections, SynchronousTestCase):
    """MariaDB or MySQL."""


class OnTheReactor(TestCase):
    """A server that is down, or hangs, does not hold up the reactor."""

    async def test_a_silent_server_blocks_nobody(self) -> None:
        """The reactor turns while a thread waits for the server."""
        self.patch(threadable, "ioThread", threadable.getThreadID())
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        for adapter, scheme in ((PostgreSQLDatabase, "postgresql"), (MySQLDatabase, "mysql")):
            url = f"{scheme}://user@127.0.0.1:{listening.getsockname()[1]}/name?connect_timeout=2"
            database = adapter(url)
            turned: list[int] = []
            calls = [reactor.callLater(0.1 * turn, turned.append, turn) for turn in range(10)]
            with self.assertRaises(Unavailable):
                await database.start(reactor)
            self.assertGreater(len(turned), 5)
            for call in calls:
                if call.active():
                    call.cancel()
            await database.stop()

    async def test_a_stop_waits_for_what_runs(self) -> None:
        """It comes to its end, is answered and kept; what comes after the stop opens the database again."""
        self.patch(threadable, "ioThread", threadable.getThreadID())
        for adapter, url in (
            (PostgreSQLDatabase, database_servers.postgresql()),
            (MySQLDatabase, database_servers.mysql()),
        ):
            database = adapter(url)
            self.addCleanup(database.stop)
            await database.start(reactor)
            begun, go_on = threading.Event(), threading.Event()

            def work(connection: Any) -> Any:
                begun.set()  # noqa: B023
                go_on.wait(30)  # noqa: B023
                connection.script("CREATE TABLE kept (x INTEGER)")

            running = database.write(work)
            begun.wait(30)
            stopped = database.stop()
            self.assertFalse(stopped.called)
            reactor.callLater(0.02, go_on.set)
            await stopped
            await running
            self.assertEqual(await database.read(lambda each: each.answer("SELECT count(*) FROM kept")), [(0,)])
