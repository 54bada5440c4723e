"""Schema updates that a server stops, and tables of others that are written as no model's is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import database_servers
from schema_cases import MySQLSchema, PostgreSQLSchema, SchemaCase, model, user_model
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.query import where
from fluxon.database.schema.kinds import changes_of
from fluxon.database.schema.servers import mysql_changes
from fluxon.errors import Conflict, InvalidPayload, OutcomeUnknown

#: A step that waits, for the table or for InnoDB's lock of it.
_WAITING_STEP = (
    "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'ALTER TABLE %' "
    "AND state IN ('Waiting for table metadata lock', 'Committing alter table to storage engine') AND time_ms > 100"
)


class OnPostgreSQL(PostgreSQLSchema, SchemaCase, SynchronousTestCase):
    """One transaction: nothing of an update that the server stops is kept."""

    def at_commit(self, sql: str) -> None:
        """Have the server do this when an update commits."""
        self.use(user_model())
        self.update()
        for text in (
            f"CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {sql}; RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON fluxon_schema DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION at_commit()",
        ):
            database_servers.fetch(self.where, text)
        self.use(user_model(age=models.IntegerField(default=1)))
        schema.save_schema(self.database, self.files)

    def columns(self) -> list[str]:
        with self.database.administration() as connection:
            return [*changes_of(self.database).tables(connection)["user"].columns]

    def test_a_commit_that_is_refused(self) -> None:
        """The server's own reason is told, and the tables are as they were."""
        self.at_commit("RAISE EXCEPTION USING ERRCODE = 'check_violation'")
        self.assertRaises(InvalidPayload, self.update, 2)
        self.assertEqual(self.columns(), ["id", "name"])

    def test_a_commit_whose_end_nobody_hears(self) -> None:
        """It may or may not be the new schema: said, with what shows it."""
        self.at_commit("PERFORM pg_terminate_backend(pg_backend_pid())")
        self.assertIn("check", self.assertRaises(OutcomeUnknown, self.update, 2).text)
        self.assertIn("updateschema", " ".join(schema.check(self.database, self.files)))

    def test_a_table_without_columns(self) -> None:
        """PostgreSQL has such; it is somebody else's and is left alone."""
        self.with_users()
        database_servers.fetch(self.where, "CREATE TABLE theirs ()")
        self.use(model("Pet", name=models.CharField()))
        self.update(drop=["User"])
        self.assertEqual({name: [*each.columns] for name, each in self.state()[0].items()}["theirs"], [])


class OnMySQL(MySQLSchema, SchemaCase, SynchronousTestCase):
    """Step by step: an update that the server stops says where, loses no row, and goes on when asked for again."""

    def stopped(self, reason: str, **options: Any) -> None:
        """The update stops, and says why, and what to type."""
        error = self.assertRaises(Conflict, self.update, 2, **options)
        self.assertIn("the update stopped after", error.text)
        self.assertIn(reason, error.text)
        self.assertIn("updateschema 2", " ".join(schema.check(self.database, self.files)))

    def goes_on(self, **options: Any) -> None:
        """The same again, now that nothing is in its way."""
        self.update(2, **options)
        self.assertEqual(schema.check(self.database, self.files), [])

    def test_a_rule_of_somebody_else(self) -> None:
        """Their table refers to one that goes: it is theirs to let go."""
        self.with_users()
        database_servers.fetch(
            self.where, "CREATE TABLE theirs (x BIGINT, CONSTRAINT their_rule FOREIGN KEY (x) REFERENCES user (id))"
        )
        self.use(model("Pet", name=models.CharField()))
        schema.save_schema(self.database, self.files)
        self.stopped("break a rule of the new schema", drop=["User"])
        database_servers.fetch(self.where, "DROP TABLE theirs")
        self.goes_on(drop=["User"])
        self.assertEqual(set(self.state()[0]) - set(self.copies()), {"pet"})

    def test_something_that_the_server_refuses(self) -> None:
        """Its text may hold anything: it is in the log, and the rows are as they were."""
        user = self.with_users()
        user.Update({"mail": None}, where[user.id == 1])
        database_servers.fetch(
            self.where,
            "CREATE TRIGGER no_change BEFORE UPDATE ON user FOR EACH ROW SIGNAL SQLSTATE '45000' "
            "SET MESSAGE_TEXT = 'secret'",
        )
        user = self.use(user_model(mail=models.CharField(default="?")))
        schema.save_schema(self.database, self.files)
        self.stopped("the server refused it; see the log")
        self.assertEqual(sorted(self.ask("SELECT name, mail FROM user")), [("a", None), ("b", "b@mail.com")])
        database_servers.fetch(self.where, "DROP TRIGGER no_change")
        self.goes_on()
        self.assertEqual(sorted(row.mail for row in user.Check()), ["?", "b@mail.com"])

    def test_a_table_that_is_in_use(self) -> None:
        """Somebody's open transaction holds it: said as for every other lock."""
        self.with_users()
        self.use(user_model(mail=models.CharField(null=True), age=models.IntegerField(default=1)))
        schema.save_schema(self.database, self.files)
        self.patch(mysql_changes, "_STEP_SECONDS", 0.0)
        with self.open(self.where).administration() as other:
            other.begin()
            other.answer("SELECT * FROM user")
            self.stopped("another program holds")
            other.rollback()
        self.goes_on()

    def test_a_table_in_use_crosswise(self) -> None:
        """Who uses the table waits for a row of somebody who wants the table next: all three get on, in seconds."""
        self.with_users()
        self.use(user_model(mail=models.CharField(null=True), age=models.IntegerField(default=1)))
        schema.save_schema(self.database, self.files)
        self.crosswise("SELECT * FROM user")

    def test_a_table_referred_to_crosswise(self) -> None:
        """The same of whoever has a row that refers to the table, which InnoDB locks by itself."""
        self.with_users()
        self.use(user_model(mail=models.CharField(null=True), age=models.IntegerField(default=1)))
        schema.save_schema(self.database, self.files)
        self.crosswise("INSERT INTO theirs VALUES (1)")

    def crosswise(self, use: str) -> None:
        """An update, while who carried out ``use`` waits for somebody who uses the table next."""
        for text in (
            "CREATE TABLE theirs (x BIGINT, FOREIGN KEY (x) REFERENCES user (id))",
            "CREATE TABLE room (id INTEGER PRIMARY KEY)",
            "INSERT INTO room VALUES (1)",
        ):
            database_servers.fetch(self.where, text)
        self.addCleanup(database_servers.fetch, self.where, "DROP TABLE room, theirs")
        row = "SELECT * FROM room WHERE id = 1 FOR UPDATE"
        other = self.open(self.where)
        with ThreadPoolExecutor(2) as pool, other.administration() as first, other.administration() as second:
            first.begin()
            first.answer(row)
            second.begin()
            second.answer(use)
            waiting = pool.submit(second.answer, row)
            updating = pool.submit(self.update, 2)
            while not database_servers.fetch(self.where, _WAITING_STEP):
                self.assertFalse(updating.done())
            self.assertEqual(len(first.answer("SELECT * FROM user")), 2)
            first.commit()
            self.assertEqual(waiting.result(), [(1,)])
            second.commit()
            updating.result()
        self.assertEqual(schema.check(self.database, self.files), [])

    def copies(self) -> list[str]:
        return [name for name in self.state()[0] if name not in ("pet", "user")]

    def test_scratch_databases(self) -> None:
        """What a killed program left is dropped with the next update; what another uses just now is not."""
        self.with_users()
        names = [f"fluxon_scratch_{name}" for name in ("left", "used")]
        for name in names:
            database_servers.fetch(self.where, f"CREATE DATABASE {name}")
            self.addCleanup(database_servers.fetch, self.where, f"DROP DATABASE IF EXISTS {name}")
        with self.database.administration() as other:
            other.answer("SELECT GET_LOCK(%s, 0)", names[1])
            self.update(1)
        found = database_servers.fetch(self.where, "SHOW DATABASES LIKE 'fluxon_scratch_%'")
        self.assertIn((names[1],), found)
        self.assertNotIn((names[0],), found)

    def test_a_table_in_partitions(self) -> None:
        """Lines that are no column, key or rule are passed over; a default ends where the server's next word begins."""
        self.with_users()
        database_servers.fetch(
            self.where,
            "CREATE TABLE theirs (x INT NOT NULL DEFAULT 5 COMMENT 'five', y VARCHAR(9) DEFAULT 'a b' COMMENT 'two') "
            "PARTITION BY HASH (x) PARTITIONS 2",
        )
        theirs = self.state()[0]["theirs"]
        self.assertEqual({each.name: each.default for each in theirs.columns.values()}, {"x": "5", "y": "'a b'"})
        self.assertEqual(theirs.parts, {})
        self.use(user_model())
        self.update(drop=["User.mail"])
        self.assertIn("theirs", self.state()[0])
