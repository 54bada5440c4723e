"""Schema updates keep the rows, on every database.

Each test runs on SQLite, PostgreSQL and MariaDB (or MySQL). A refused update is compared by the whole database: its
tables as it describes them, and all their rows.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import database_servers
import sqlalchemy
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase
from fluxon.database.query import where
from fluxon.database.schema.kinds import changes_of
from fluxon.errors import ConfigurationError, Conflict, Locked

ModelType = type(models.Model)


def model(title: str, /, *bases: Any, meta: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A model made on the spot."""
    body = fields if meta is None else {**fields, "Meta": type("Meta", (), meta)}
    return ModelType(title, bases or (models.Model,), body)


def user_model(**fields: Any) -> Any:
    """A user with a name, and what else is given."""
    return model("User", models.AuthenticatedUser, **{"name": models.CharField(unique=True), **fields})


class SchemaContract:
    """The suite. A database's test case says how to open it."""

    def place(self: Any) -> Any:
        """What names a new, empty database."""
        raise NotImplementedError

    def open(self: Any, place: Any) -> Any:
        """The adapter on it, without models."""
        raise NotImplementedError

    def setUp(self: Any) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.files = self.folder / "database_schema"
        self.where = self.place()
        self.database: Any = None
        self.addCleanup(self.release)

    def release(self: Any) -> None:
        """Close the database of the models before."""
        if self.database is not None:
            self.database.close()
            self.database.unbind()

    def use(self: Any, *declared: Any) -> Any:
        """From here on, these are the program's models."""
        self.release()
        self.database = self.open(self.where)
        self.database.bind(list(declared))
        return declared[0]

    def update(self: Any, number: int | None = None, **options: Any) -> Any:
        """Save the models, and update to them (or to ``number``); the tables are then those of the file."""
        if number is None:
            schema.save_schema(self.database, self.files)
        done = schema.update_schema(self.database, self.files, number, **options)
        if done.applied and number is None:
            self.assertEqual(schema.check(self.database, self.files), [])
        return done

    def ask(self: Any, query: str) -> list[tuple[Any, ...]]:
        """Rows of plain SQL, on a connection of its own."""
        with self.database.administration() as connection:
            if isinstance(self.database, SQLiteDatabase):
                return connection.raw.execute(query).fetchall()
            return connection.answer(query)

    def state(self: Any) -> Any:
        """Everything that an update may change, as it is now."""
        changes = changes_of(self.database)
        with changes.connection() as connection:
            tables = dict(changes.tables(connection))
        quote = self.database.statements.ddl_dialect.identifier_preparer.quote_identifier
        return tables, {name: sorted(map(repr, self.ask(f"SELECT * FROM {quote(name)}"))) for name in tables}

    def refused(self: Any, *parts: str, number: int | None = None, drop: Sequence[str] = ()) -> None:
        """The update is refused with a text that has these parts, and changes nothing."""
        before = self.state()
        error = self.assertRaises(Conflict, self.update, number, drop=drop)
        for part in parts:
            self.assertIn(part, error.text)
        self.assertEqual(self.state(), before)

    def with_users(self: Any) -> Any:
        """Two users, a third who is gone, and schema 1."""
        user = self.use(user_model(mail=models.CharField(null=True)))
        self.update()
        user.Insert([{"name": name, "mail": f"{name}@mail.com"} for name in "abc"])
        user.Delete(where[user.id == 3])
        return user

    def test_new_columns_get_their_defaults(self: Any) -> None:
        """Old rows stay, and have the new columns' defaults; numbers go on where they were."""
        self.with_users()
        user = self.use(
            user_model(
                mail=models.CharField(null=True),
                age=models.IntegerField(default=7, db_index=True),
                price=models.DecimalField(max_digits=6, decimal_places=2, default=Decimal("1.50")),
                ready=models.BooleanField(default=True),
                motto=models.CharField(default='it\'s 100% \\ "fine"'),
                joined=models.DateTimeField(auto_now_add=True),
                born=models.DateField(default=date(2000, 2, 29)),
                seen=models.DateTimeField(default=datetime(2020, 1, 1, 12, 30, tzinfo=UTC)),
            )
        )
        updated = self.update()
        self.assertEqual((updated.previous, updated.number, updated.applied), (1, 2, True))
        rows = user.Check(order_by="id")
        new = (7, Decimal("1.50"), True, 'it\'s 100% \\ "fine"')
        self.assertEqual([tuple(row)[:7] for row in rows], [(1, "a", "a@mail.com", *new), (2, "b", "b@mail.com", *new)])
        self.assertIsNotNone(rows[0].joined.tzinfo)
        self.assertEqual((rows[0].born, rows[0].seen), (date(2000, 2, 29), datetime(2020, 1, 1, 12, 30, tzinfo=UTC)))
        self.assertEqual(user.Insert(name="d"), 4)  # 3 was given once, and is not given again
        self.assertEqual(self.update().plan, ())
        self.update(1, drop=[f"User.{each}" for each in ("age", "price", "ready", "motto", "joined", "born", "seen")])
        self.use(user_model(mail=models.CharField(null=True)))
        self.assertEqual(len(self.database.models[0].Check()), 3)

    def test_losing_data_has_to_be_asked_for_by_name(self: Any) -> None:
        """A column with values and a table with rows are kept until named."""
        user = self.with_users()
        pet = model("Pet", name=models.CharField())
        self.use(pet, user)
        self.update()
        pet.Insert(name="Rex")
        user = self.use(user_model())
        schema.save_schema(self.database, self.files)
        before = self.state()
        plan = self.update(3, plan_only=True)
        self.assertFalse(plan.applied)
        self.assertIn("--drop user.mail", " ".join(plan.plan))
        self.assertEqual(self.state(), before)
        self.refused("--drop user.mail", "--drop pet", number=3)
        self.refused("--drop pet", number=3, drop=["User.mail"])
        self.assertRaises(ConfigurationError, self.update, 3, drop=["User.nothing"])
        updated = self.update(3, drop=["User.mail", "Pet"])
        self.assertEqual([tuple(row) for row in user.Check(order_by="id")], [(1, "a"), (2, "b")])
        self.assertEqual(self.kept(updated, "pet", "name"), [("Rex",)])
        self.assertEqual(self.kept(updated, "user", "mail"), [("a@mail.com",), ("b@mail.com",)])

    def kept(self: Any, updated: Any, table: str, column: str) -> list[tuple[Any, ...]]:
        """What the update's copy has in a column."""
        (copy,) = [each for each in updated.copies if each.endswith(f"_{table}")]
        return sorted(self.ask(f"SELECT {column} FROM {copy}"))

    def test_renamed_columns_and_models_keep_their_rows_both_ways(self: Any) -> None:
        """``renamed_from`` carries them up, and the way down carries them back."""
        user = self.with_users()
        pet = model("Pet", owner=models.ForeignKey(user, on_delete=models.CASCADE), name=models.CharField())
        self.use(pet, user)
        self.update()
        pet.Insert([{"owner": 1, "name": "Rex"}, {"owner": 2, "name": "Tom"}])
        person = model(
            "Person",
            models.AuthenticatedUser,
            name=models.CharField(unique=True),
            email=models.CharField(null=True, renamed_from="mail"),
            meta={"renamed_from": "User"},
        )
        pet = model(
            "Pet",
            keeper=models.ForeignKey(person, on_delete=models.CASCADE, renamed_from="owner"),
            name=models.CharField(),
        )
        self.use(person, pet)
        self.update()
        self.assertEqual(
            [tuple(row)[1:] for row in person.Check(order_by="id")], [("a", "a@mail.com"), ("b", "b@mail.com")]
        )
        self.assertEqual(sorted(pet.Check(columns=["keeper", "name"])), [(1, "Rex"), (2, "Tom")])
        self.assertIs(pet.Insert(keeper=9, name="x"), False)
        self.assertEqual(person.Insert(name="new"), 4)
        self.update(2)
        user = user_model(mail=models.CharField(null=True))
        pet = model("Pet", owner=models.ForeignKey(user, on_delete=models.CASCADE), name=models.CharField())
        self.use(pet, user)
        self.assertEqual([row.mail for row in user.Check(order_by="id")], ["a@mail.com", "b@mail.com", None])
        self.assertEqual(sorted(pet.Check(columns=["owner", "name"])), [(1, "Rex"), (2, "Tom")])
        user.Delete(where[user.id == 2])
        self.assertEqual(pet.Count(), 1)

    def test_rows_that_refer_survive(self: Any) -> None:
        """Changing a table does not cascade into those that refer to it, engine tables included."""
        user = self.with_users()
        pet = model("Pet", owner=models.ForeignKey(user, on_delete=models.CASCADE))
        self.use(pet, user)
        self.update()
        engine = sqlalchemy.Table(
            "fluxon_tests",
            sqlalchemy.MetaData(),
            sqlalchemy.Column("user_id", sqlalchemy.Integer, primary_key=True, autoincrement=False),
        )
        self.database.install(engine)
        self.database.write_blocking(lambda connection: connection.run(sqlalchemy.insert(engine), {"user_id": 1}))
        pet.Insert(owner=2)
        user = user_model(name=models.TextField(), mail=models.CharField(null=True))
        pet = self.use(model("Pet", owner=models.ForeignKey(user, on_delete=models.CASCADE)), user)
        self.update()
        self.assertEqual([tuple(row) for row in pet.Check()], [(1, 2)])
        self.database.install(engine)
        kept = self.database.read_blocking(lambda connection: connection.rows(sqlalchemy.select(engine.c.user_id)))
        self.assertEqual(kept, [(1,)])
        user.Delete(where[user.id == 2])
        self.assertEqual(pet.Count(), 0)  # and the reference still works

    def test_what_does_not_fit_is_refused(self: Any) -> None:
        """A new column without default, an emptied one, a shorter one, another type, a new UNIQUE with duplicates."""
        self.with_users()
        self.use(user_model(mail=models.CharField(null=True), age=models.IntegerField()))
        self.refused("user.age", "default")
        self.use(user_model(mail=models.DateField(null=True)))
        self.refused("user.mail", "cannot hold")
        self.use(user_model(mail=models.CharField(max_length=3, null=True)))
        self.refused("2 values of user.mail")
        user = self.use(user_model(name=models.CharField(), mail=models.CharField(null=True)))
        self.update()
        user.Update({"name": "same", "mail": None}, where[user.id > 0])
        self.use(user_model(mail=models.CharField(null=True)))
        self.refused("rule")
        self.use(user_model(name=models.CharField(), mail=models.CharField()))
        self.refused("user.mail must not be empty")
        user = self.use(user_model(name=models.CharField(), mail=models.CharField(default="?")))
        self.update()
        self.assertEqual({row.mail for row in user.Check()}, {"?"})

    def test_new_rules_look_at_the_rows(self: Any) -> None:
        """A CHECK and a reference that rows break are refused; rows that keep them are kept."""
        thing = self.use(model("Thing", n=models.IntegerField(), other=models.IntegerField(null=True)))
        self.update()
        thing.Insert([{"n": -1}, {"n": 3, "other": 9}])
        self.use(model("Thing", n=models.PositiveIntegerField(), other=models.IntegerField(null=True)))
        self.refused("rule")
        self.use(model("Thing", n=models.IntegerField(), other=models.ForeignKey("self", null=True)))
        self.refused()
        thing.declaration.database = None
        thing = self.use(model("Thing", n=models.IntegerField(), other=models.IntegerField(null=True)))
        thing.Update({"n": 1, "other": 1}, where[thing.id > 0])
        thing = self.use(model("Thing", n=models.PositiveIntegerField(), other=models.ForeignKey("self", null=True)))
        self.update()
        self.assertEqual(sorted(map(tuple, thing.Check())), [(1, 1, 1), (2, 1, 1)])
        self.assertIs(thing.Insert(n=1, other=7), False)

    def test_types_change_without_loss_or_not_at_all(self: Any) -> None:
        """Numbers become texts and back, decimals get more places, and too few places are refused."""

        def thing(n: Any, digits: int, places: int, b: Any) -> Any:
            return self.use(model("Thing", n=n, d=models.DecimalField(max_digits=digits, decimal_places=places), b=b))

        made = thing(models.IntegerField(), 8, 2, models.BooleanField(default=False))
        self.update()
        made.Insert(n=-5, d=Decimal("123.45"), b=True)
        made = thing(models.CharField(), 12, 4, models.IntegerField(default=0))
        self.update()
        self.assertEqual(tuple(made.Get(1)), (1, "-5", Decimal("123.4500"), 1))
        thing(models.IntegerField(), 12, 1, models.IntegerField(default=0))
        self.refused("1 values of thing.d")
        made = thing(models.IntegerField(), 12, 2, models.BooleanField(default=False))
        self.update()
        self.assertEqual(tuple(made.Get(1)), (1, -5, Decimal("123.45"), True))
        thing(models.IntegerField(), 4, 2, models.BooleanField(default=False))
        self.refused("1 values of thing.d")
        made = thing(models.TextField(), 12, 2, models.BooleanField(default=False))
        self.update()
        made.Update({"n": "no number"}, where[made.id == 1])
        thing(models.IntegerField(), 12, 2, models.BooleanField(default=False))
        self.refused("1 values of thing.n")

    def test_a_failing_file_leaves_everything(self: Any) -> None:
        """A schema that breaks half-way changes nothing."""
        self.with_users()
        content = schema.updating.schema_of(self.database)
        broken = schema.updating.files.SchemaText(
            content.dialect, content.body + "\nCREATE TABLE x (y REFERENCES z ON DELETE PROTECT);\n"
        )
        schema.updating.files.write(self.files, 2, broken)
        before = self.state()
        self.assertRaises(ConfigurationError, self.update, 2)
        self.assertEqual(self.state(), before)

    def test_one_at_a_time(self: Any) -> None:
        """A second update is told that one is under way."""
        self.with_users()
        other = self.open(self.where)
        self.addCleanup(other.close)
        with changes_of(other).locked(0):
            self.assertRaises(Locked, self.update, 1)
        self.update(1)

    def test_unchanged_tables_are_not_touched(self: Any) -> None:
        """The plan names what differs, and nothing else."""
        user = self.with_users()
        self.use(model("Pet", name=models.CharField()), user)
        self.assertEqual(self.update().plan, ("create table pet",))
        self.assertEqual(self.update().plan, ())

    def test_indexes_and_constraints_come_and_go(self: Any) -> None:
        """Single and composite, up and down, with all rows."""
        fields = {"kind": models.CharField(max_length=50), "size": models.IntegerField()}
        thing = self.use(model("Thing", **fields))
        self.update()
        thing.Insert([{"kind": "a", "size": n} for n in range(5)])
        before = self.state()
        fields = {"kind": models.CharField(max_length=50, db_index=True), "size": models.PositiveIntegerField()}
        meta = {"unique_together": [("kind", "size")], "indexes": [("size", "kind")]}
        thing = self.use(model("Thing", meta=meta, **fields))
        self.update()
        self.assertIs(thing.Insert(kind="a", size=1), False)
        self.assertIsNot(thing.Insert(kind="b", size=1), False)
        thing.Delete(where[thing.kind == "b"])
        self.update(1)
        self.assertEqual(self.state(), before)

    def test_keys_change(self: Any) -> None:
        """A key of the program's own gives way to a number, and the number to it; the rows stay."""
        thing = self.use(model("Thing", code=models.CharField(max_length=9, primary_key=True), n=models.IntegerField()))
        self.update()
        thing.Insert([{"code": each, "n": 1} for each in "ab"])
        thing = self.use(model("Thing", code=models.CharField(max_length=9, unique=True), n=models.IntegerField()))
        self.update()
        self.assertEqual(sorted(map(tuple, thing.Check())), [(1, "a", 1), (2, "b", 1)])
        self.assertEqual(thing.Insert(code="c", n=1), 3)
        self.refused("--drop thing.id", number=1)
        self.update(1, drop=["Thing.id"])
        thing = self.use(model("Thing", code=models.CharField(max_length=9, primary_key=True), n=models.IntegerField()))
        self.assertEqual(sorted(row.code for row in thing.Check()), ["a", "b", "c"])
        self.assertIs(thing.Insert(code="c", n=1), False)

    def test_numbering_comes_and_goes(self: Any) -> None:
        """A key that the program gave is numbered by the database from where it was, and the other way round."""
        thing = self.use(model("Thing", id=models.IntegerField(primary_key=True), n=models.IntegerField()))
        self.update()
        thing.Insert([{"id": each, "n": 1} for each in (3, 7)])
        thing = self.use(model("Thing", n=models.IntegerField()))
        self.update()
        self.assertEqual(thing.Insert(n=2), 8)
        self.update(1)
        thing = self.use(model("Thing", id=models.IntegerField(primary_key=True), n=models.IntegerField()))
        self.assertEqual(sorted(row.id for row in thing.Check()), [3, 7, 8])
        self.assertIs(thing.Insert(n=1), False)
        self.assertEqual(thing.Insert(id=1, n=1), 1)

    def test_references_change(self: Any) -> None:
        """What happens on deletion, a nullable one, an index that goes: the rows stay."""
        parent = model("Parent", name=models.CharField())
        child = self.use(model("Child", parent=models.ForeignKey(parent, on_delete=models.CASCADE)), parent)
        self.update()
        parent.Insert(name="p")
        child.Insert(parent=1)
        parent = model("Parent", name=models.CharField())
        key = models.ForeignKey(parent, on_delete=models.SET_NULL, null=True, db_index=False)
        child = self.use(model("Child", parent=key), parent)
        self.update()
        parent.Delete()
        self.assertEqual([tuple(row) for row in child.Check()], [(1, None)])
        self.refused("must not be empty", number=1)

    def test_circles(self: Any) -> None:
        """Models that refer to each other are made, filled, changed and dropped."""
        hen = model("Hen", egg=models.ForeignKey("Egg", null=True, on_delete=models.SET_NULL))
        egg = model("Egg", hen=models.ForeignKey("Hen", on_delete=models.CASCADE))
        self.use(hen, egg)
        self.update()
        self.assertEqual((hen.Insert(), egg.Insert(hen=1)), (1, 1))
        self.assertEqual(hen.Update({"egg": 1}, where[hen.id == 1]), 1)
        hen = model("Hen", egg=models.ForeignKey("Egg", null=True, on_delete=models.CASCADE))
        egg = model("Egg", hen=models.ForeignKey("Hen", on_delete=models.CASCADE), size=models.IntegerField(default=1))
        self.use(hen, egg)
        self.update()
        self.assertEqual((tuple(hen.Get(1)), tuple(egg.Get(1))), ((1, 1), (1, 1, 1)))
        self.use(model("Fox"))
        self.update(drop=["Hen", "Egg"])
        self.assertEqual(set(self.state()[0]), {"fox"})

    def test_tables_of_others_are_left_alone(self: Any) -> None:
        """A table that no schema file made is never dropped."""
        self.with_users()
        with self.database.administration() as connection:
            connection.script("CREATE TABLE theirs (x INTEGER)")
        self.use(model("Pet", name=models.CharField()))
        self.update(drop=["User"])
        self.assertEqual(set(self.state()[0]), {"theirs", "pet"})

    def test_an_edited_file_is_noticed(self: Any) -> None:
        """It never reaches the database."""
        self.with_users()
        path = self.files / "schema_00001.sql"
        path.write_text(path.read_text().replace("VARCHAR(255)", "VARCHAR(9)"))
        self.assertRaises(ConfigurationError, self.update, 1)

    def test_preparing(self: Any) -> None:
        """An empty database is made; what disagrees later is told, each with what to type."""
        user = self.use(user_model())
        lines = schema.prepare(self.database, self.files)
        self.assertIn("schema_00001.sql", lines[0])
        self.assertEqual(user.Insert(name="a"), 1)
        self.assertEqual(schema.prepare(self.database, self.files), [])
        self.use(user_model(age=models.IntegerField(null=True)))
        self.assertIn("saveschema", " ".join(schema.prepare(self.database, self.files)))
        schema.save_schema(self.database, self.files)
        self.assertIn("updateschema", " ".join(schema.prepare(self.database, self.files)))
        schema.update_schema(self.database, self.files)
        self.assertEqual(schema.prepare(self.database, self.files), [])
        quote = self.database.statements.ddl_dialect.identifier_preparer.quote_identifier
        with self.database.administration() as connection:
            connection.script(f"ALTER TABLE {quote('user')} ADD COLUMN secret INTEGER")
        self.assertIn("the table user", " ".join(schema.prepare(self.database, self.files)))

    def test_two_servers_that_start_at_once(self: Any) -> None:
        """One prepares the database, the other finds it prepared."""
        self.use(user_model())
        other = self.open(self.where)
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
        other.close()
        self.assertEqual(sorted(map(len, lines)), [0, 2])

    def test_update_beside_a_writing_server(self: Any) -> None:
        """Every acknowledged row is in the new table."""
        user = self.with_users()
        stop, kept, failed = threading.Event(), [], []

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    kept.append(user.Insert(name=f"n{number}"))
                except Exception as error:
                    failed.append(error)
                    return

        thread = threading.Thread(target=write)
        thread.start()
        other = self.open(self.where)
        wider = user_model(mail=models.CharField(null=True), note=models.CharField(null=True))
        other.bind([wider])
        schema.save_schema(other, self.files)
        try:
            for number in (2, 1, 2):
                schema.update_schema(other, self.files, number, patience=5)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failed, [])
        self.assertNotIn(False, kept)
        self.assertEqual(wider.Count(), 2 + len(kept))
        other.close()
        other.unbind()


class SQLiteSchemas(SchemaContract, SynchronousTestCase):
    """An SQLite file."""

    def place(self) -> Path:
        return self.folder / "data.sqlite3"

    def open(self, place: Path) -> SQLiteDatabase:
        return SQLiteDatabase(place)

    def kept(self, updated: Any, table: str, column: str) -> list[tuple[Any, ...]]:
        other = SQLiteDatabase(updated.backup)
        with other.administration() as connection:
            return connection.raw.execute(f"SELECT {column} FROM {table}").fetchall()


class PostgreSQLSchemas(SchemaContract, SynchronousTestCase):
    """A PostgreSQL database."""

    def place(self) -> str:
        return database_servers.postgresql()

    def open(self, place: str) -> PostgreSQLDatabase:
        return PostgreSQLDatabase(place)


class MySQLSchemas(SchemaContract, SynchronousTestCase):
    """A MariaDB or MySQL database."""

    def place(self) -> str:
        return database_servers.mysql()

    def open(self, place: str) -> MySQLDatabase:
        return MySQLDatabase(place)
