"""Rows that break a rule of the next schema are found before anything is changed, on every database.

MariaDB and MySQL commit each step of an update, so there the rows are looked at before the first; the others undo.
"""

from __future__ import annotations

from typing import Any

from schema_cases import MySQLSchema, PostgreSQLSchema, SchemaCase, SQLiteSchema, model
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.query import where


def number(**options: Any) -> Any:
    """A column of whole numbers that may be empty."""
    return models.IntegerField(**{"null": True, **options})


class BrokenRules(SchemaCase):
    """Each update is refused and leaves everything as it was; once the rows are mended, the same one goes through."""

    def things(self: Any, *others: Any, rows: Any = ({"n": 1}, {"n": 1}), **fields: Any) -> Any:
        """Some rows of a model, and schema 1."""
        thing = self.use(model("Thing", **(fields or {"n": number()})), *others)
        self.update()
        thing.Insert(list(rows))
        return thing

    def told(self: Any, text: str) -> None:
        """The update is refused; where there is no way back, the plan says so, too."""
        self.refused("thing")
        if isinstance(self, MySQLSchema):
            self.refused(text)
            plan = schema.update_schema(self.database, self.files, plan_only=True).plan
            self.assertIn(f"NOT POSSIBLE: {text}", plan[-1])

    def test_a_reference_to_a_table_that_is_new(self: Any) -> None:
        """It has no row yet, so each value is in the way; emptied, the update goes through."""
        thing = self.things(pet=number(), rows=({"pet": 3}, {"pet": None}))
        pet = model("Pet", name=models.CharField())
        after = model("Thing", pet=models.ForeignKey(pet, null=True))
        self.use(after, pet)
        self.told("1 rows of thing have a value in pet that would refer to the new, empty table pet; empty the column")
        self.use(thing)
        thing.Update({"pet": None}, where[thing.id == 1])
        self.use(after, pet)
        self.update()
        self.assertEqual([row.pet for row in after.Check()], [None, None])

    def test_a_reference_to_a_table_that_gets_another_name(self: Any) -> None:
        """Its rows are looked for where they are now."""
        animal = model("Animal", name=models.CharField())
        thing = self.things(animal, pet=number(), rows=({"pet": 1}, {"pet": 2}, {"pet": None}))
        animal.Insert(name="Rex")
        pet = model("Pet", name=models.CharField(), meta={"renamed_from": "Animal"})
        after = model("Thing", pet=models.ForeignKey(pet, null=True))
        self.use(after, pet)
        self.told("1 rows of thing would break the new schema's rule fk_thing_pet; change them first")
        self.use(thing, animal)
        thing.Update({"pet": 1}, where[thing.id == 2])
        self.use(after, pet)
        self.update()
        self.assertEqual([row.pet for row in after.Check(order_by="id")], [1, 1, None])

    def test_rules_on_what_gets_another_name(self: Any) -> None:
        """What is new for a renamed column or table holds for the rows that it has, whatever the names are."""
        thing = self.things(rows=({"n": -1}, {"n": -1}))
        stuff = {"renamed_from": "Thing"}
        for after in (
            model("Thing", more=number(unique=True, renamed_from="n")),
            model("Stuff", n=number(unique=True), meta=stuff),
            model("Stuff", m=models.PositiveIntegerField(null=True, renamed_from="n"), meta=stuff),
        ):
            self.use(after)
            self.refused("rule")
            if isinstance(self, MySQLSchema):
                self.refused("rows of thing would break the new schema's rule")
        self.use(thing)
        thing.Update({"n": 2}, where[thing.id > 0])
        self.use(after)
        self.update()
        self.assertEqual([row.m for row in after.Check()], [2, 2])

    def test_defaults_of_new_columns(self: Any) -> None:
        """Every row gets the default, which cannot be unique, nor refer to a row that is not there."""
        self.things()
        self.use(model("Thing", n=number(), m=models.IntegerField(unique=True, default=4)))
        self.told("1 rows of thing would break the new schema's rule uq_thing_m: they get the default of m")
        pet = model("Pet", name=models.CharField())
        self.use(model("Thing", n=number(), m=models.ForeignKey(pet, default=4)), pet)
        self.told("2 rows of thing have a value in m that would refer to the new, empty table pet: they get")
        after = model("Thing", n=number(), m=models.ForeignKey(pet, null=True))
        self.use(after, pet)
        self.update()
        self.assertEqual([tuple(row) for row in after.Check(order_by="id")], [(1, 1, None), (2, 1, None)])

    def test_defaults_of_columns_that_may_be_empty_no_more(self: Any) -> None:
        """Empty values get the default: a rule that stays as it is may be broken by it."""
        pet = model("Pet", name=models.CharField())
        fields = {"n": number(unique=True), "pet": models.ForeignKey(pet, null=True)}
        self.things(pet, **fields, rows=({"n": 1}, {}, {}))
        filled = models.IntegerField(unique=True, default=4)
        self.use(model("Thing", n=filled, pet=models.ForeignKey(pet, null=True)), pet)
        self.told("1 rows of thing would break the new schema's rule uq_thing_n: they get the default of n")
        after = model("Thing", n=number(unique=True), pet=models.ForeignKey(pet, default=4))
        self.use(after, pet)
        self.told("3 rows of thing would break the new schema's rule fk_thing_pet: they get the default of pet")
        pet.Insert(id=4, name="Rex")
        self.update()
        self.assertEqual({row.pet for row in after.Check()}, {4})

    def test_a_check_whose_values_look_like_names(self: Any) -> None:
        """They are values: rows that have one break the check, and others keep it."""
        self.things(name=models.CharField(), rows=({"name": "`name` 100%s"}, {"name": "b"}))
        checks = {"no_name": lambda Thing: Thing.name != "`name` 100%s", "more": lambda Thing: Thing.name != "`n`"}
        after = model("Thing", name=models.CharField(), meta={"checks": checks})
        self.use(after)
        self.told("1 rows of thing would break the new schema's rule ck_thing_no_name; change them first")

    def test_a_key_that_the_database_gives_by_the_update(self: Any) -> None:
        """Whether a value refers to one is known only then; where it does, all is well."""
        pet = model("Pet", code=models.CharField(max_length=9, primary_key=True))
        self.things(pet, pet=number(), rows=({"pet": 1}, {"pet": 1}))
        pet.Insert(code="a")
        pet = model("Pet", code=models.CharField(max_length=9, unique=True))
        thing = self.use(model("Thing", pet=models.ForeignKey(pet, null=True)), pet)
        self.update()
        self.assertEqual([row.pet for row in thing.Check()], [1, 1])


class BrokenRulesOnSQLite(SQLiteSchema, BrokenRules, SynchronousTestCase):
    """An SQLite file."""


class BrokenRulesOnPostgreSQL(PostgreSQLSchema, BrokenRules, SynchronousTestCase):
    """A PostgreSQL database."""


class BrokenRulesOnMySQL(MySQLSchema, BrokenRules, SynchronousTestCase):
    """A MariaDB or MySQL database."""
