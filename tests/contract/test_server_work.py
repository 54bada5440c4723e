"""Work on database servers: locks, deadlocks and limits of time; values and numbers as everywhere else."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import database_servers
import psycopg
import pymysql
import sqlalchemy
from server_cases import ModelType, MySQLServer, PostgreSQLServer, ServerCase
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.apis import PostgreSQLDatabase
from fluxon.database.query import where
from fluxon.database.servers import transactions
from fluxon.errors import (
    AlreadyExists,
    ConfigurationError,
    DeadlineExceeded,
    InvalidPayload,
    Locked,
)


class Work(ServerCase):
    """What holds on every server."""

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


class WorkOnPostgreSQL(PostgreSQLServer, Work, SynchronousTestCase):
    """PostgreSQL."""

    def test_what_the_disk_is_not_waited_for(self) -> None:
        """A relaxed write tells the server so, for its own transaction alone; an error within does not end that."""
        insert = sqlalchemy.insert(self.Note.declaration.table)

        def work(connection: Any) -> Any:
            self.assertIs(self.Note.Insert(text="a"), False)
            connection.run(insert, {"text": text, "size": 1})
            return connection.answer("SHOW synchronous_commit")

        self.Note.Insert(text="a")
        text = "b"
        self.assertEqual(self.database.write_relaxed_blocking(work), [("off",)])
        text = "c"
        self.assertEqual(self.database.write_blocking(work), [("on",)])
        self.assertEqual([row.text for row in self.Note.Check()], ["a", "b", "c"])

    def test_plans_of_a_changed_table(self) -> None:
        """A statement that the server had prepared before its table changed is prepared anew."""
        for _ in range(10):
            self.Note.Check()
        self.Note.Insert(text="a", size=5)
        database_servers.fetch(self.url, "ALTER TABLE note ALTER COLUMN size TYPE integer")
        for _ in range(3):
            self.assertEqual([row.size for row in self.Note.Check()], [5])
        self.assertIs(self.Note.Insert(text="a"), False)


class WorkOnMySQL(MySQLServer, Work, SynchronousTestCase):
    """MariaDB or MySQL."""

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
