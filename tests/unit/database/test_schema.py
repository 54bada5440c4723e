"""Schema files and updates: nothing is written over, and no row is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import warnings
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.database.schema.lock import schema_lock
from fluxon.errors import AlreadyExists, ConfigurationError, Conflict, Locked, NotFound

ModelType = type(models.Model)


def model(title: str, /, *bases: Any, **fields: Any) -> Any:
    """A model made on the spot."""
    return ModelType(title, bases or (models.Model,), fields)


class SchemaTests(SynchronousTestCase):
    """Each test has a folder, a database file, and models that change."""

    def setUp(self) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.files = self.folder / "database_schema"
        self.path = self.folder / "data.sqlite3"
        self.database: Any = None
        self.addCleanup(self.release)

    def release(self) -> None:
        """Close the database of the models before."""
        if self.database is not None:
            self.database.close()
            self.database.unbind()

    def use(self, *declared: Any) -> Any:
        """From here on, these are the program's models."""
        self.release()
        self.database = SQLiteDatabase(self.path, models=list(declared))
        return declared[0]

    def update(self, number: int | None = None, **options: Any) -> Any:
        """Save the models, and update to them (or to ``number``)."""
        if number is None:
            schema.save_schema(self.database, self.files)
        return schema.update_schema(self.database, self.files, number, **options)

    def refused(self, *parts: str, number: int | None = None, drop: Sequence[str] = ()) -> None:
        """The update is refused with a text that has these parts, and changes nothing."""
        before = self.dump()
        error = self.assertRaises(Conflict, self.update, number, drop=drop)
        for part in parts:
            self.assertIn(part, error.text)
        self.assertEqual(self.dump(), before)

    def dump(self) -> list[str]:
        """The whole database as SQL."""
        raw = sqlite3.connect(self.path)
        try:
            return list(raw.iterdump())
        finally:
            raw.close()


class Files(SchemaTests):
    """What ``save_schema`` writes."""

    def test_numbers_count_up_and_nothing_is_written_over(self) -> None:
        """Each change has a file of its own; the first stays as it was, byte for byte."""
        self.use(model("User", name=models.CharField()))
        first = schema.save_schema(self.database, self.files)
        text = first.path.read_bytes()
        self.use(model("User", name=models.CharField(), age=models.IntegerField(null=True)))
        second = schema.save_schema(self.database, self.files)
        self.assertEqual((first.number, second.number), (1, 2))
        self.assertEqual(first.path.read_bytes(), text)
        self.assertEqual(sorted(os.listdir(self.files)), ["schema_00001.sql", "schema_00002.sql"])

    def test_nothing_changed_is_said(self) -> None:
        """The same models make no new file."""
        self.use(model("User", name=models.CharField()))
        schema.save_schema(self.database, self.files)
        again = schema.save_schema(self.database, self.files)
        self.assertEqual((again.number, again.changed), (1, False))
        self.assertEqual(len(os.listdir(self.files)), 1)

    def test_a_file_that_appeared_meanwhile_is_not_replaced(self) -> None:
        """Two programs that save at once do not both write the same number."""
        self.use(model("User"))
        content = schema.updating.schema_of(self.database)
        schema.updating.files.write(self.files, 1, content)
        self.assertRaises(AlreadyExists, schema.updating.files.write, self.files, 1, content)
        self.assertEqual(os.listdir(self.files), ["schema_00001.sql"])

    def test_the_file_is_complete_plain_sql(self) -> None:
        """Any SQLite makes the same tables of it."""
        self.use(model("User", name=models.CharField(unique=True), age=models.PositiveIntegerField(db_index=True)))
        saved = schema.save_schema(self.database, self.files)
        self.update(1)
        raw = sqlite3.connect(":memory:")
        self.addCleanup(raw.close)
        raw.executescript(saved.path.read_text())
        made = {row[0] for row in raw.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}
        live = sqlite3.connect(self.path)
        self.addCleanup(live.close)
        found = live.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'user' AND sql IS NOT NULL")
        self.assertEqual({row[0] for row in found}, made)

    def test_models_that_refer_to_each_other(self) -> None:
        """A circle of references, named by text, is written without a warning and works."""
        hen = model("Hen", egg=models.ForeignKey("Egg", null=True, on_delete=models.SET_NULL))
        egg = model("Egg", hen=models.ForeignKey("Hen", on_delete=models.CASCADE))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.use(hen, egg)
            self.update()
        self.assertEqual((hen.Insert(), egg.Insert(hen=1), egg.Insert(hen=5)), (1, 1, False))
        self.assertEqual(hen.Update({"egg": 1}, where[hen.id == 1]), 1)

    def test_every_action_of_a_reference_is_sql(self) -> None:
        """The original wrote ``ON DELETE PROTECT``, which no database takes."""
        one = model("One")
        for action in models.CASCADE, models.PROTECT, models.SET_NULL, models.SET_DEFAULT, models.NO_ACTION:
            key = models.ForeignKey(one, on_delete=action, null=True, default=1)
            self.use(one, model("Two", one=key))
            text = schema.updating.schema_of(self.database).body
            self.assertEqual(f"ON DELETE {action.value}" in text, action is not models.NO_ACTION)
            sqlite3.connect(":memory:").executescript(text).connection.close()

    def test_an_edited_file_is_noticed(self) -> None:
        """It never reaches the database, and the check says so."""
        self.use(model("User", name=models.CharField()))
        path = schema.save_schema(self.database, self.files).path
        path.write_text(path.read_text().replace("VARCHAR(255)", "VARCHAR(9)"))
        self.assertRaises(ConfigurationError, schema.update_schema, self.database, self.files)
        path.write_text("DROP TABLE user;")
        self.assertRaises(ConfigurationError, schema.update_schema, self.database, self.files)
        self.assertIn("header", " ".join(schema.check(self.database, self.files)))

    def test_other_dialects_and_numbers_are_refused(self) -> None:
        """A file for another database, or one that is not there."""
        self.use(model("User"))
        self.assertRaises(NotFound, schema.update_schema, self.database, self.files)
        content = schema.updating.schema_of(self.database)
        other = schema.updating.files.SchemaText("mysql", content.body)
        schema.updating.files.write(self.files, 1, other)
        self.assertRaises(ConfigurationError, schema.update_schema, self.database, self.files)
        self.assertRaises(NotFound, schema.update_schema, self.database, self.files, 2)

    def test_what_has_no_schema_files(self) -> None:
        """A database in memory, and one without models: said with what to do instead."""
        self.use(model("User"))
        schema.save_schema(self.database, self.files)
        self.path = ":memory:"  # type: ignore[assignment]
        self.use(model("User"))
        error = self.assertRaises(ConfigurationError, schema.update_schema, self.database, self.files)
        self.assertIn("create_tables()", error.text)
        self.database.unbind()
        error = self.assertRaises(ConfigurationError, schema.save_schema, self.database, self.files)
        self.assertIn("Setup(models=...)", error.text)

    def test_numbers_and_sizes_are_bounded(self) -> None:
        """A number that its name has no place for is not written, and a file that cannot be a schema is not read."""
        self.use(model("User"))
        files = schema.updating.files
        content = schema.updating.schema_of(self.database)
        self.assertRaises(ConfigurationError, files.write, self.files, files.MAX_NUMBER + 1, content)
        self.assertFalse(self.files.exists())
        path = files.write(self.files, 1, content).path
        path.write_bytes(b"-" * (files._MAX_BYTES + 1))
        self.assertIn("too large", self.assertRaises(ConfigurationError, files.read, self.files, 1).text)


class Updates(SchemaTests):
    """What ``update_schema`` does to rows."""

    def setUp(self) -> None:
        SchemaTests.setUp(self)
        self.user = self.use(
            model(
                "User", models.AuthenticatedUser, name=models.CharField(unique=True), mail=models.CharField(null=True)
            ),
        )
        self.update()
        self.user.Insert([{"name": name, "mail": f"{name}@mail.com"} for name in "abc"])
        self.user.Delete(where[self.user.id == 3])

    def test_new_columns_get_their_defaults(self) -> None:
        """Old rows stay, and have the new columns' defaults; so do rows of tables that refer to them."""
        user = self.use(
            model(
                "User",
                models.AuthenticatedUser,
                name=models.CharField(unique=True),
                mail=models.CharField(null=True),
                age=models.IntegerField(default=7, db_index=True),
                price=models.DecimalField(max_digits=6, decimal_places=2, default=Decimal("1.50")),
                ready=models.BooleanField(default=True),
                motto=models.CharField(default="it's 100%"),
                joined=models.DateTimeField(auto_now_add=True),
            )
        )
        updated = self.update()
        self.assertEqual((updated.previous, updated.number, updated.applied), (1, 2, True))
        rows = user.Check(order_by="id")
        self.assertEqual(
            [tuple(row)[:7] for row in rows],
            [
                (1, "a", "a@mail.com", 7, Decimal("1.50"), True, "it's 100%"),
                (2, "b", "b@mail.com", 7, Decimal("1.50"), True, "it's 100%"),
            ],
        )
        self.assertIsNotNone(rows[0].joined.tzinfo)
        self.assertEqual(user.Insert(name="d"), 4)  # 3 was given once, and is not given again

    def test_losing_data_has_to_be_asked_for_by_name(self) -> None:
        """A column with values and a table with rows are kept until named; a backup has what was dropped."""
        pet = model("Pet", name=models.CharField())
        self.use(pet, self.user)
        self.update()
        pet.Insert(name="Rex")
        user = self.use(model("User", models.AuthenticatedUser, name=models.CharField(unique=True)))
        schema.save_schema(self.database, self.files)
        plan = self.update(3, plan_only=True)
        self.assertFalse(plan.applied)
        self.assertIn("--drop user.mail", " ".join(plan.plan))
        self.refused("--drop user.mail", "--drop pet", number=3)
        self.refused("--drop pet", number=3, drop=["User.mail"])
        self.assertRaises(ConfigurationError, self.update, 3, drop=["User.nothing"])
        updated = self.update(3, drop=["User.mail", "Pet"])
        self.assertEqual([tuple(row) for row in user.Check()], [(1, "a"), (2, "b")])
        raw = sqlite3.connect(updated.backup)
        self.addCleanup(raw.close)
        self.assertEqual(raw.execute("SELECT name FROM pet").fetchall(), [("Rex",)])
        self.assertEqual(raw.execute("SELECT mail FROM user").fetchall(), [("a@mail.com",), ("b@mail.com",)])
        self.assertEqual(os.stat(updated.backup).st_mode & 0o077, 0)

    def test_a_renamed_column_keeps_its_values_both_ways(self) -> None:
        """``renamed_from`` carries them up, and the way down carries them back."""
        user = self.use(
            model(
                "User",
                models.AuthenticatedUser,
                name=models.CharField(unique=True),
                email=models.CharField(null=True, renamed_from="mail"),
            )
        )
        self.update()
        self.assertEqual([row.email for row in user.Check()], ["a@mail.com", "b@mail.com"])
        self.update(1)
        raw = sqlite3.connect(self.path)
        self.addCleanup(raw.close)
        self.assertEqual(raw.execute("SELECT mail FROM user").fetchall(), [("a@mail.com",), ("b@mail.com",)])

    def test_rows_that_refer_survive_the_rebuild(self) -> None:
        """Rebuilding a table does not cascade into those that refer to it, engine tables included."""
        pet = model("Pet", owner=models.ForeignKey(self.user, on_delete=models.CASCADE))
        self.use(pet, self.user)
        self.update()
        engine = sqlalchemy.Table(
            "fluxon_tests",
            sqlalchemy.MetaData(),
            sqlalchemy.Column("user_id", sqlalchemy.Integer, primary_key=True, autoincrement=False),
        )
        self.database.install(engine)
        self.database.write_blocking(lambda connection: connection.run(sqlalchemy.insert(engine), {"user_id": 1}))
        pet.Insert(owner=2)
        user = model("User", models.AuthenticatedUser, name=models.TextField(), mail=models.CharField(null=True))
        pet = self.use(model("Pet", owner=models.ForeignKey(user, on_delete=models.CASCADE)), user)
        self.update()
        self.assertEqual([tuple(row) for row in pet.Check()], [(1, 2)])
        self.database.install(engine)
        kept = self.database.read_blocking(lambda connection: connection.rows(sqlalchemy.select(engine.c.user_id)))
        self.assertEqual(kept, [(1,)])
        user.Delete(where[user.id == 2])
        self.assertEqual(pet.Count(), 0)  # and the reference still works

    def test_what_does_not_fit_is_refused(self) -> None:
        """A new column without default, an emptied one, a shorter one, another type, a new UNIQUE with duplicates."""
        base = {"name": models.CharField(unique=True), "mail": models.CharField(null=True)}
        self.use(model("User", models.AuthenticatedUser, **base, age=models.IntegerField()))
        self.refused("User.age".lower(), "default")
        self.use(
            model(
                "User",
                models.AuthenticatedUser,
                name=models.CharField(max_length=255),
                mail=models.DateField(null=True),
            )
        )
        self.refused("user.mail", "DATE")
        self.use(
            model(
                "User",
                models.AuthenticatedUser,
                name=models.CharField(),
                mail=models.CharField(max_length=3, null=True),
            )
        )
        self.refused("2 values of user.mail")
        user = self.use(
            model("User", models.AuthenticatedUser, name=models.CharField(), mail=models.CharField(null=True))
        )
        self.update()
        user.Update({"name": "same", "mail": None}, where[user.id > 0])
        self.use(
            model(
                "User", models.AuthenticatedUser, name=models.CharField(unique=True), mail=models.CharField(null=True)
            )
        )
        self.refused("UNIQUE")
        self.use(model("User", models.AuthenticatedUser, name=models.CharField(), mail=models.CharField()))
        self.refused("user.mail must not be empty")
        user = self.use(
            model("User", models.AuthenticatedUser, name=models.CharField(), mail=models.CharField(default="?"))
        )
        self.update()
        self.assertEqual({row.mail for row in user.Check()}, {"?"})

    def test_types_change_without_loss_or_not_at_all(self) -> None:
        """Numbers become texts, decimals get more places, and too few places are refused."""
        thing = self.use(model("Thing", n=models.IntegerField(), d=models.DecimalField(max_digits=8, decimal_places=2)))
        self.update(drop=["User"])
        thing.Insert(n=-5, d=Decimal("123.45"))
        thing = self.use(model("Thing", n=models.CharField(), d=models.DecimalField(max_digits=12, decimal_places=4)))
        self.update()
        self.assertEqual(tuple(thing.Get(1)), (1, "-5", Decimal("123.4500")))
        thing = self.use(
            model("Thing", n=models.IntegerField(), d=models.DecimalField(max_digits=12, decimal_places=1))
        )
        self.refused("1 values of thing.d")
        thing = self.use(
            model("Thing", n=models.IntegerField(), d=models.DecimalField(max_digits=12, decimal_places=2))
        )
        self.update()
        self.assertEqual(tuple(thing.Get(1)), (1, -5, Decimal("123.45")))
        thing = self.use(model("Thing", n=models.IntegerField(), d=models.DecimalField(max_digits=4, decimal_places=2)))
        self.refused("1 values of thing.d")

    def test_a_failing_file_leaves_everything(self) -> None:
        """A schema that breaks half-way: the original had dropped every table by then."""
        content = schema.updating.schema_of(self.database)
        broken = schema.updating.files.SchemaText(
            "sqlite", content.body + "\nCREATE TABLE x (y REFERENCES z ON DELETE PROTECT);\n"
        )
        schema.updating.files.write(self.files, 2, broken)
        before = self.dump()
        self.assertRaises(ConfigurationError, self.update, 2)
        self.assertEqual(self.dump(), before)

    def test_one_at_a_time(self) -> None:
        """A second update is told that one is under way."""
        with schema_lock(str(self.path)):
            self.assertRaises(Locked, self.update, 1)

    def test_unchanged_tables_are_not_touched(self) -> None:
        """Only what differs is made anew: the plan names it, and nothing else."""
        pet = model("Pet", name=models.CharField())
        self.use(pet, self.user)
        plan = self.update().plan
        self.assertEqual(plan, ("create table pet",))
        self.assertEqual(self.update().plan, ())

    def test_indexes_change_without_touching_rows(self) -> None:
        """An index comes and goes by itself; the table stays where it is."""
        fields = {"mail": models.CharField(null=True)}
        user = self.use(
            model("User", models.AuthenticatedUser, name=models.CharField(unique=True, db_index=True), **fields)
        )
        self.assertEqual(self.update().plan, ())  # UNIQUE is an index already
        self.use(
            model(
                "User",
                models.AuthenticatedUser,
                name=models.CharField(unique=True),
                mail=models.CharField(null=True, db_index=True),
            )
        )
        self.assertEqual(self.update().plan, ("change the indexes of user",))
        self.assertTrue(any("ix_user_mail" in line for line in self.dump()))
        self.update(1)
        self.assertFalse(any("ix_user_mail" in line for line in self.dump()))
        self.assertIsNotNone(user)

    def test_tables_of_others_are_left_alone(self) -> None:
        """A table that no schema file made is never dropped."""
        raw = sqlite3.connect(self.path)
        raw.execute("CREATE TABLE theirs (x)")
        raw.commit()
        raw.close()
        self.use(model("Pet", name=models.CharField()))
        self.update(drop=["User"])
        self.assertIn("CREATE TABLE theirs (x);", self.dump())
        self.assertFalse(any('"user"' in line for line in self.dump() if line.startswith("CREATE")))

    def test_update_beside_a_writing_server(self) -> None:
        """Writers wait while the schema changes, and every acknowledged row is in the new table."""
        self.use(self.user)
        stop, kept, failed = threading.Event(), [], []

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    kept.append(self.user.Insert(name=f"n{number}"))
                except Exception as error:
                    failed.append(error)
                    return

        thread = threading.Thread(target=write)
        thread.start()
        other = SQLiteDatabase(self.path)
        wider = model(
            "User", models.AuthenticatedUser, name=models.TextField(unique=True), mail=models.CharField(null=True)
        )
        other.bind([wider])
        schema.save_schema(other, self.files)
        try:
            for number in (2, 1, 2):
                schema.update_schema(other, self.files, number)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failed, [])
        self.assertTrue(kept)
        self.assertEqual(wider.Count(), 2 + len(kept))
        other.close()
        other.unbind()


class Preparing(SchemaTests):
    """What a starting server does by itself, and what it only says."""

    def test_an_empty_database_is_made(self) -> None:
        """The first start saves the models and makes the tables; the second says nothing."""
        user = self.use(model("User", name=models.CharField()))
        lines = schema.prepare(self.database, self.files)
        self.assertIn("schema_00001.sql", lines[0])
        self.assertEqual(user.Insert(name="a"), 1)
        self.assertEqual(schema.prepare(self.database, self.files), [])

    def test_what_disagrees_is_told(self) -> None:
        """Changed models, an update not made, a table changed by hand: each with what to type."""
        self.use(model("User", name=models.CharField()))
        schema.prepare(self.database, self.files)
        self.use(model("User", name=models.CharField(), age=models.IntegerField(null=True)))
        self.assertIn("saveschema", " ".join(schema.prepare(self.database, self.files)))
        schema.save_schema(self.database, self.files)
        self.assertIn("updateschema", " ".join(schema.prepare(self.database, self.files)))
        schema.update_schema(self.database, self.files)
        self.assertEqual(schema.prepare(self.database, self.files), [])
        raw = sqlite3.connect(self.path)
        raw.execute("ALTER TABLE user ADD COLUMN secret")
        raw.close()
        self.assertIn("the table user", " ".join(schema.prepare(self.database, self.files)))

    def test_two_servers_that_start_at_once(self) -> None:
        """One prepares the database, the other finds it prepared."""
        self.use(model("User", name=models.CharField()))
        other = SQLiteDatabase(self.path)
        other.models, other.metadata = self.database.models, self.database.metadata
        lines: list[list[str]] = []
        starts = [
            threading.Thread(target=lambda each=each: lines.append(schema.prepare(each, self.files)))
            for each in (self.database, other)
        ]
        for each in starts:
            each.start()
        for each in starts:
            each.join()
        self.assertEqual(sorted(map(len, lines)), [0, 2])
        self.assertEqual(len(os.listdir(self.files)), 1)
