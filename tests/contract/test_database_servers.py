"""Database servers that fail: connections lost at every point, servers that are down or silent, locks and deadlocks."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from typing import Any

import database_servers
import psycopg
import pymysql
import sqlalchemy
from twisted.internet import reactor
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.database import models, schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase
from fluxon.database.mysql import connection as mysql_connection
from fluxon.database.postgresql import connection as postgresql_connection
from fluxon.database.query import where
from fluxon.database.servers import opening, transactions
from fluxon.errors import (
    AlreadyExists,
    ConfigurationError,
    DeadlineExceeded,
    InvalidPayload,
    Locked,
    OutcomeUnknown,
    Unavailable,
)

ModelType = type(models.Model)


class Proxy:
    """Stands between a program and a server, and cuts the line when the program says ``COMMIT``."""

    def __init__(self, url: sqlalchemy.URL, default_port: int) -> None:
        self._target: Any = (url.host, url.port or default_port)
        if "host" in url.query:
            self._target = f"{url.query['host']}/.s.PGSQL.5432"
        elif "unix_socket" in url.query:
            self._target = url.query["unix_socket"]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        #: None, "before" or "after": whether the server still hears the next COMMIT.
        self.cut: str | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
                server.connect(self._target)
                deaf = threading.Event()
                for each in (client, server, deaf, True), (server, client, deaf, False):
                    threading.Thread(target=self._pass_on, args=each, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, deaf: threading.Event, asking: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asking and self.cut is not None and b"COMMIT" in data:
                    cut, self.cut = self.cut, None
                    if cut == "before":
                        break
                    deaf.set()
                elif not asking and deaf.is_set():
                    break  # the server has answered, and nobody hears it
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class ServerContract:
    """The suite. A server's test case says how to reach it."""

    adapter: Any
    settings: Any

    def place(self: Any) -> str:
        """The URL of a new, empty database."""
        raise NotImplementedError

    def kill(self: Any) -> None:
        """End every connection to the database, as an administrator does."""
        raise NotImplementedError

    def setUp(self: Any) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.url = self.place()
        self.Note = ModelType(
            "Note", (models.Model,), {"text": models.CharField(unique=True), "size": models.IntegerField(default=0)}
        )
        self.database = self.adapter(self.url, models=[self.Note])
        self.addCleanup(self.database.unbind)
        self.addCleanup(self.database.close)
        schema.create_tables(self.database)

    def elsewhere(self: Any, **url: Any) -> Any:
        """The same adapter at another URL."""
        return self.rebind(self.adapter(sqlalchemy.make_url(self.url).set(**url)))

    def rebind(self: Any, other: Any) -> Any:
        """Have another database of the models."""
        self.database.unbind()
        other.bind([self.Note])
        self.addCleanup(other.close)
        self.addCleanup(other.unbind)
        return other

    def count(self: Any) -> int:
        """The rows, as another program sees them."""
        return int(database_servers.fetch(self.url, "SELECT count(*) FROM note")[0][0])

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
        self.assertIn(f"pip install fluxon[{self.adapter.dialect_name}]", error.text)

    def test_deadlocks_are_tried_again(self: Any) -> None:
        """Two transactions that take two rows in opposite order both come to their end."""
        Note = self.Note
        Note.Insert([{"text": "a"}, {"text": "b"}])
        meet, runs, failed = threading.Barrier(2), [], []

        def work(first: int, second: int) -> None:
            Note.Update({"size": Note.Get(first).size + 1}, where[Note.id == first])
            runs.append(first)
            with contextlib.suppress(threading.BrokenBarrierError):
                meet.wait(2)
                meet.abort()
            Note.Update({"size": Note.Get(second).size + 1}, where[Note.id == second])

        def run(first: int, second: int) -> None:
            try:
                self.database.transaction(lambda: work(first, second))
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=each) for each in ((1, 2), (2, 1))]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(failed, [])
        self.assertEqual([row.size for row in Note.Check()], [2, 2])
        self.assertGreater(len(runs), 2)

    def test_a_lock_of_another_program(self: Any) -> None:
        """Who holds the row for long makes this one fail, and no more than that."""
        self.shorten()
        self.patch(transactions, "RETRY_SECONDS", 1.0)
        Note = self.Note
        Note.Insert(text="a")
        with self.database.administration() as other:
            other.begin()
            other.answer("SELECT id FROM note WHERE id = 1 FOR UPDATE")
            self.assertRaises((Locked, DeadlineExceeded), Note.Update, {"size": 1}, where[Note.id == 1])
            self.assertEqual(Note.Count(), 1)  # readers do not wait
        self.assertEqual(Note.Update({"size": 1}, where[Note.id == 1]), 1)

    def test_statements_have_an_end(self: Any) -> None:
        """A read and a write that take too long are ended by the server."""
        self.shorten()
        sleep = sqlalchemy.select(sqlalchemy.literal_column(self.sleeping).label("slept"))
        self.assertRaises(DeadlineExceeded, self.database.read_blocking, lambda connection: connection.rows(sleep))
        self.assertRaises(DeadlineExceeded, self.database.write_blocking, lambda connection: connection.rows(sleep))
        self.assertEqual(self.Note.Count(), 0)

    def test_work_has_an_end(self: Any) -> None:
        """A transaction that takes too long in its own code is undone."""
        self.patch(transactions, "MAX_SECONDS", 0.1)

        def work() -> None:
            self.Note.Insert(text="a")
            time.sleep(0.2)

        self.assertRaises(DeadlineExceeded, self.database.transaction, work)
        self.assertEqual(self.count(), 0)

    def test_what_reads_cannot_write(self: Any) -> None:
        """A write given to ``read`` raises and does nothing."""
        insert = sqlalchemy.insert(self.Note.declaration.table)
        with self.assertRaises((psycopg.errors.ReadOnlySqlTransaction, pymysql.err.OperationalError)):
            self.database.read_blocking(lambda connection: connection.run(insert, {"text": "a", "size": 1}))
        self.assertEqual(self.count(), 0)

    def test_values_that_no_server_takes(self: Any) -> None:
        """Through Core, past the fields' own checks: half a character, a text too long, a number too large."""
        insert = sqlalchemy.insert(self.Note.declaration.table)
        wrong = [{"text": "\ud800", "size": 1}, {"text": "x" * 256, "size": 1}, {"text": "x", "size": 2**63}]
        if self.adapter is PostgreSQLDatabase:
            wrong.append({"text": "a\0b", "size": 1})
        for row in wrong:
            self.assertRaises(
                InvalidPayload, self.database.write_blocking, lambda connection, row=row: connection.run(insert, row)
            )
        self.assertEqual(self.count(), 0)

    def test_an_error_inside_a_transaction_may_be_handled(self: Any) -> None:
        """What failed is undone by itself; the rest of the transaction is kept."""
        Note = self.Note

        def work() -> Any:
            Note.Insert([{"text": "a"}, {"text": "b"}])
            self.assertIs(Note.Insert(text="a"), False)
            self.assertIs(Note.Insert([{"text": "c"}, {"text": "a"}]), False)
            self.assertRaises(AlreadyExists, Note.Update, {"text": "a"}, where[Note.text == "b"])
            return Note.Insert(text="d")

        self.assertIsNot(self.database.transaction(work), False)
        self.assertEqual(sorted(row.text for row in Note.Check()), ["a", "b", "d"])

    def test_numbers_of_ones_own(self: Any) -> None:
        """A row with a chosen number moves the counter, so that the next is not refused as a duplicate."""
        Note = self.Note
        self.assertEqual([Note.Insert(id=5, text="a"), Note.Insert(text="b")], [5, 6])
        self.assertEqual([Note.Insert(id=2, text="c"), Note.Insert(id=0, text="e")], [2, 0])
        self.assertGreater(Note.Insert(text="d"), 6)

    def test_texts_are_compared_exactly(self: Any) -> None:
        """Case, accents and blanks at the end count; a backslash is nothing special."""
        Note = self.Note
        for text in ("mike", "Mike", "mike ", "mîke", "a\\b%", "a_b"):
            self.assertIsNot(Note.Insert(text=text), False, text)
            self.assertEqual([row.text for row in Note.Check(where[Note.text == text])], [text])
        self.assertEqual([row.text for row in Note.Check(where[Note.text.like("a\\b%")])], ["a\\b%"])
        self.assertEqual([row.text for row in Note.Check(where[Note.text.startswith("a\\")])], ["a\\b%"])
        self.assertEqual(Note.Count(where[~Note.text.like("a\\%")]), 5)

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


class PostgreSQLServer(ServerContract, SynchronousTestCase):
    """PostgreSQL."""

    adapter = PostgreSQLDatabase
    driver = "psycopg"
    default_port = 5432
    sleeping = "pg_sleep(20)::text"

    def place(self) -> str:
        return database_servers.postgresql()

    def shorten(self) -> None:
        self.patch(postgresql_connection, "WRITE_MILLISECONDS", 300)
        self.patch(postgresql_connection, "READ_MILLISECONDS", 300)
        self.database.close()

    _others = (
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )

    def kill(self) -> None:
        database_servers.fetch(self.url, f"SELECT pg_terminate_backend(pid, 1000) {self._others}")

    def test_plans_of_a_changed_table(self) -> None:
        """A statement that the server had prepared before its table changed is prepared anew."""
        for _ in range(10):
            self.Note.Check()
        self.Note.Insert(text="a", size=5)
        database_servers.fetch(self.url, "ALTER TABLE note ALTER COLUMN size TYPE integer")
        for _ in range(3):
            self.assertEqual([row.size for row in self.Note.Check()], [5])
        self.assertIs(self.Note.Insert(text="a"), False)

    def connections(self) -> int:
        return int(database_servers.fetch(self.url, f"SELECT count(*) {self._others}")[0][0])


class MySQLServer(ServerContract, SynchronousTestCase):
    """MariaDB or MySQL."""

    adapter = MySQLDatabase
    driver = "pymysql"
    default_port = 3306
    sleeping = "(SELECT count(*) FROM information_schema.columns a, information_schema.columns b WHERE sleep(0.01) = 0)"

    def place(self) -> str:
        return database_servers.mysql()

    def shorten(self) -> None:
        self.patch(mysql_connection, "WRITE_SECONDS", 1)
        self.patch(mysql_connection, "READ_SECONDS", 1)
        self.database.close()

    def others(self) -> list[int]:
        found = database_servers.fetch(
            self.url,
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
        )
        return [number for (number,) in found]

    def kill(self) -> None:
        for number in self.others():
            with contextlib.suppress(Exception):  # it ended by itself just now
                database_servers.fetch(self.url, f"KILL {number}")

    def connections(self) -> int:
        return len(self.others())

    def test_a_value_that_the_server_hangs_up_on(self) -> None:
        """Larger than the server takes at once: said so, and not as a server that is down."""
        largest = database_servers.fetch(self.url, "SELECT @@max_allowed_packet")[0][0]
        blob = ModelType("Blob", (models.Model,), {"data": models.BinaryField()})
        self.database.bind([self.Note, blob])
        schema.create_tables(self.database)
        self.assertRaises(InvalidPayload, blob.Insert, data=bytes(largest + 1))
        self.assertEqual(blob.Insert(data=b"x"), 1)

    def test_set_default_is_refused(self) -> None:
        """The server would take it and act as if it said RESTRICT."""
        key = models.ForeignKey(self.Note, on_delete=models.SET_DEFAULT, default=1)
        other = ModelType("Other", (models.Model,), {"note": key})
        self.database.unbind()
        error = self.assertRaises(ConfigurationError, self.database.bind, [self.Note, other])
        self.assertIn("Other.note", error.text)

    def test_what_cannot_be_indexed_is_refused(self) -> None:
        """Long texts and bytes as keys: said when models are bound, not by the server later."""
        for field in (
            models.TextField(unique=True),
            models.BinaryField(db_index=True),
            models.CharField(max_length=769, db_index=True),
        ):
            other = ModelType("Other", (models.Model,), {"text": field})
            self.assertIn("Other.text", self.assertRaises(ConfigurationError, self.database.bind, [other]).text)


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
