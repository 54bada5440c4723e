"""Keys, constraints, indexes and references come and go with schema updates, and what a start does, everywhere."""

from __future__ import annotations

import threading
from typing import Any

from schema_cases import MySQLSchema, PostgreSQLSchema, SchemaCase, SQLiteSchema, model, user_model
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.query import where
from fluxon.errors import ConfigurationError, Conflict


class Rules(SchemaCase):
    """What happens to what holds for rows."""

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

    def test_a_reference_to_a_model_that_is_new(self: Any) -> None:
        """A column that refers to nothing yet may refer to a table that comes with the same update."""
        thing = self.use(model("Thing", pet=models.IntegerField(null=True)))
        self.update()
        thing.Insert()
        pet = model("Pet", name=models.CharField())
        thing = self.use(model("Thing", pet=models.ForeignKey(pet, null=True)), pet)
        self.update()
        self.assertRaises(Conflict, thing.Update, {"pet": 1}, where[thing.id == 1])
        pet.Insert(name="Rex")
        self.assertEqual(thing.Update({"pet": 1}, where[thing.id == 1]), 1)

    def test_a_text_key_becomes_a_number(self: Any) -> None:
        """The program's own keys are kept as numbers, and the database goes on from the highest."""
        thing = self.use(model("Thing", id=models.CharField(max_length=9, primary_key=True), n=models.IntegerField()))
        self.update()
        thing.Insert([{"id": each, "n": 1} for each in ("3", "7")])
        thing = self.use(model("Thing", n=models.IntegerField()))
        self.update()
        self.assertEqual(sorted(row.id for row in thing.Check()), [3, 7])
        self.assertEqual(thing.Insert(n=2), 8)

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

    def test_tables_are_made_where_they_are_missing(self: Any) -> None:
        """``create_tables`` again leaves what is there, with its rows, and adds a model that is new."""
        user = self.use(user_model())
        schema.create_tables(self.database)
        self.assertEqual(user.Insert(name="a"), 1)
        pet = model("Pet", owner=models.ForeignKey(user, null=True, db_index=True))
        self.use(user, pet)
        schema.create_tables(self.database)
        self.assertEqual((user.Count(), pet.Insert(owner=1), pet.Insert(owner=9)), (1, 1, False))

    def test_preparing_with_files_that_are_there(self: Any) -> None:
        """A copy of the program with its schema files, and a new database: the tables are made, and no other file."""
        self.use(user_model())
        schema.save_schema(self.database, self.files)
        (line,) = schema.prepare(self.database, self.files)
        self.assertIn("schema 00001", line)
        self.assertEqual([each.name for each in self.files.iterdir()], ["schema_00001.sql"])

    def test_files_that_are_gone(self: Any) -> None:
        """The database says which schema it has, and that there is no file of it."""
        self.use(user_model())
        self.update()
        (self.files / "schema_00001.sql").unlink()
        lines = " ".join(schema.check(self.database, self.files))
        self.assertIn("schema 00001, whose file is gone", lines)
        self.assertIn("saveschema", lines)

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


class RulesOnSQLite(SQLiteSchema, Rules, SynchronousTestCase):
    """An SQLite file."""


class RulesOnPostgreSQL(PostgreSQLSchema, Rules, SynchronousTestCase):
    """A PostgreSQL database."""


class RulesOnMySQL(MySQLSchema, Rules, SynchronousTestCase):
    """A MariaDB or MySQL database."""
