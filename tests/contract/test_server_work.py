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
from fluxon.database.mysql import database as mysql_database
from fluxon.database.query import where
from fluxon.database.servers import transactions
from fluxon.errors import (
    AlreadyExists,
    ConfigurationError,
    DeadlineExceeded,
    InvalidPayload,
    Locked,
    OutcomeUnknown,
    Unavailable,
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

    def test_no_statement_begins_after_the_end(self: Any) -> None:
        """Past its time each statement is refused, so that work that handles errors does not go on for ever."""
        self.patch(transactions, "MAX_SECONDS", 0.1)
        refused = []

        def work() -> None:
            self.Note.Insert(text="a")
            time.sleep(0.2)
            refused.append(self.assertRaises(DeadlineExceeded, self.Note.Insert, text="b"))

        self.assertRaises(DeadlineExceeded, self.database.transaction, work)
        self.assertEqual((len(refused), self.count()), (1, 0))

    def test_work_that_is_lost_when_its_time_is_over(self: Any) -> None:
        """It is not run again: the program is told."""
        self.patch(transactions, "RETRY_SECONDS", 0.0)
        runs = []

        def work() -> None:
            runs.append(1)
            self.kill()
            self.Note.Insert(text="a")

        self.Note.Insert(text="before")
        self.assertRaises(Unavailable, self.database.transaction, work)
        self.assertEqual((len(runs), self.count()), (1, 1))

    def test_nothing_runs_after_a_loss(self: Any) -> None:
        """Each later statement of the same work is told the same, and none reaches a connection of its own."""
        told: list[Any] = []

        def work() -> None:
            if not told:
                self.kill()
                told.extend(self.assertRaises(Unavailable, self.Note.Insert, text=each) for each in "ab")
            self.Note.Insert(text="c")

        self.Note.Insert(text="before")
        self.database.transaction(work)
        self.assertIs(told[0], told[1])
        self.assertEqual(sorted(row.text for row in self.Note.Check()), ["before", "c"])

    def test_a_statement_of_the_wrong_kind(self: Any) -> None:
        """Rows of a statement that answers none are a mistake, said before the server hears of it."""
        insert = sqlalchemy.insert(self.Note.declaration.table)
        ask = self.database.write_blocking
        error = self.assertRaises(TypeError, ask, lambda connection: connection.rows(insert, {"text": "a", "size": 1}))
        self.assertIn("run()", str(error))
        self.assertEqual(self.count(), 0)

    def test_an_index_that_is_there(self: Any) -> None:
        """It is made once, and asked for again it stays; one of a table that is missing is an error."""
        table = self.Note.declaration.table
        index = sqlalchemy.Index("ix_note_size", table.c.size)
        self.addCleanup(table.indexes.discard, index)
        make = sqlalchemy.schema.CreateIndex(index, if_not_exists=True)
        for _ in range(2):
            self.database.write_blocking(lambda connection: connection.define(make))
        nowhere = sqlalchemy.Table("nowhere", sqlalchemy.MetaData(), sqlalchemy.Column("x", sqlalchemy.Integer))
        make = sqlalchemy.schema.CreateIndex(sqlalchemy.Index("ix", nowhere.c.x), if_not_exists=True)
        self.assertRaises(ConfigurationError, self.database.write_blocking, lambda connection: connection.define(make))

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

    def test_a_transaction_that_prepared_before_its_table_changed(self) -> None:
        """It is begun again on a connection that knows the new table, and is kept once."""

        def work() -> list[int]:
            self.Note.Insert(text=f"row {len(runs)}")
            runs.append(1)
            return [row.size for row in self.Note.Check()]

        runs: list[int] = []
        for _ in range(10):
            self.database.transaction(work)
        database_servers.fetch(self.url, "ALTER TABLE note ALTER COLUMN size TYPE integer")
        self.assertEqual(self.database.transaction(work), [0] * 11)
        self.assertEqual((len(runs), self.count()), (12, 11))

    def test_what_only_shows_at_commit(self) -> None:
        """Two that each read before the other wrote: the server undoes one as it commits, and it is run again."""
        meet, runs = threading.Barrier(2), []

        def work(name: str) -> None:
            self.Note.Insert(text=name, size=self.Note.Count())
            runs.append(name)
            if len(runs) <= 2:
                meet.wait(30)

        threads = [
            threading.Thread(target=self.database.transaction, args=(lambda each=each: work(each),)) for each in "ab"
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        self.assertEqual(sorted(row.size for row in self.Note.Check()), [0, 1])
        self.assertEqual(len(runs), 3)

    def test_an_error_that_was_passed_over(self) -> None:
        """The server keeps nothing of such a transaction: it does not end as if all were well, but with that error."""
        insert = sqlalchemy.insert(self.Note.declaration.table)

        def work(connection: Any) -> None:
            self.assertRaises(InvalidPayload, connection.run, insert, {"text": "x" * 256, "size": 1})

        self.assertRaises(InvalidPayload, self.database.write_blocking, work)
        self.assertEqual(self.count(), 0)

    def at_commit(self, sql: str) -> None:
        """Have the server do this at the COMMIT of whoever inserts a note."""
        database_servers.fetch(
            self.url,
            f"CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {sql}; RETURN NULL; END $$",
        )
        database_servers.fetch(
            self.url,
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION at_commit()",
        )

    def test_a_commit_that_the_server_refuses(self) -> None:
        """What a rule that is looked at last says is told, nothing is kept, and the connection goes on."""
        self.at_commit("RAISE EXCEPTION USING ERRCODE = 'check_violation'")
        self.assertRaises(InvalidPayload, self.database.write_blocking, lambda _: self.Note.Insert(text="a"))
        self.assertEqual((self.count(), self.Note.Count()), (0, 0))

    def test_a_commit_that_ends_the_connection(self) -> None:
        """Nobody knows what became of it, and that is said."""
        self.at_commit("PERFORM pg_terminate_backend(pg_backend_pid())")
        self.assertRaises(OutcomeUnknown, self.Note.Insert, text="a")
        self.assertEqual(self.Note.Count(), self.count())


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

    def test_tables_that_another_program_makes(self) -> None:
        """Who waits in vain for its turn to make the engine's tables is told so."""
        self.patch(mysql_database, "_PATIENCE", 0)
        name = f"fluxon tables {sqlalchemy.make_url(self.url).database}"
        with self.database.administration() as other:
            other.answer("SELECT GET_LOCK(%s, 0)", name)
            self.database.close()
            self.assertIn("engine's tables", self.assertRaises(Locked, self.Note.Count).text)
        self.assertEqual(self.Note.Count(), 0)
