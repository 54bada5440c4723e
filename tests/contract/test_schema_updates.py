"""Schema updates keep the rows, on every database.

Each test runs on SQLite, PostgreSQL and MariaDB (or MySQL). A refused update is compared by the whole database: its
tables as it describes them, and all their rows.
"""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy
from schema_cases import MySQLSchema, PostgreSQLSchema, SchemaCase, SQLiteSchema, model, user_model
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.query import where
from fluxon.database.schema.kinds import changes_of
from fluxon.errors import ConfigurationError, Locked


class Updates(SchemaCase):
    """What happens to rows."""

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
                day=models.DateField(auto_now_add=True),
                clock=models.TimeField(auto_now_add=True),
            )
        )
        updated = self.update()
        self.assertEqual((updated.previous, updated.number, updated.applied), (1, 2, True))
        rows = user.Check(order_by="id")
        new = (7, Decimal("1.50"), True, 'it\'s 100% \\ "fine"')
        self.assertEqual([tuple(row)[:7] for row in rows], [(1, "a", "a@mail.com", *new), (2, "b", "b@mail.com", *new)])
        self.assertIsNotNone(rows[0].joined.tzinfo)
        added = datetime.combine(rows[0].day, rows[0].clock, tzinfo=UTC)
        self.assertLess(abs(added - rows[0].joined), timedelta(seconds=60))
        self.assertEqual((rows[0].born, rows[0].seen), (date(2000, 2, 29), datetime(2020, 1, 1, 12, 30, tzinfo=UTC)))
        self.assertEqual(user.Insert(name="d"), 4)  # 3 was given once, and is not given again
        self.assertEqual(self.update().plan, ())
        new_names = ("age", "price", "ready", "motto", "joined", "born", "seen", "day", "clock")
        self.update(1, drop=[f"User.{each}" for each in new_names])
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

    def test_types_of_columns_without_values(self: Any) -> None:
        """Where there is no value to convert, any type may follow, also one that could not hold a value."""
        user = self.with_users()
        self.use(user_model(mail=models.DateField(null=True)))
        self.refused("cannot hold")
        user = self.use(user)
        user.Update({"mail": None}, where[user.id > 0])
        user = self.use(user_model(mail=models.DateField(null=True)))
        self.update()
        self.assertEqual(user.Update({"mail": date(2024, 2, 29)}, where[user.id == 1]), 1)
        self.assertEqual([row.mail for row in user.Check(order_by="id")], [date(2024, 2, 29), None])

    def test_decimals_become_whole_numbers(self: Any) -> None:
        """If that is what they are; one with a fraction is counted, and nothing is changed."""
        thing = self.use(model("Thing", d=models.DecimalField(max_digits=8, decimal_places=2)))
        self.update()
        thing.Insert([{"d": Decimal("7.00")}, {"d": Decimal("-1.50")}])
        self.use(model("Thing", d=models.IntegerField()))
        self.refused("1 values of thing.d")
        thing = self.use(thing)
        thing.Delete(where[thing.id == 2])
        thing = self.use(model("Thing", d=models.IntegerField()))
        self.update()
        self.assertEqual([tuple(row) for row in thing.Check()], [(1, 7)])

    def test_a_column_that_is_full_must_not_be_empty_any_more(self: Any) -> None:
        """It needs no default for that: there is nothing to fill."""
        self.with_users()
        user = self.use(user_model(mail=models.CharField()))
        self.update()
        self.assertEqual(sorted(row.mail for row in user.Check()), ["a@mail.com", "b@mail.com"])
        self.assertIs(user.Insert(name="d", mail=None), False)

    def test_a_table_of_which_no_column_stays(self: Any) -> None:
        """Its rows stay, as many as there were, with numbers and defaults."""
        thing = self.use(model("Thing", code=models.CharField(max_length=9, primary_key=True)))
        self.update()
        thing.Insert([{"code": each} for each in "abc"])
        thing = self.use(model("Thing", size=models.IntegerField(default=7)))
        self.refused("--drop thing.code")
        self.update(drop=["Thing.code"])
        self.assertEqual(sorted(map(tuple, thing.Check())), [(1, 7), (2, 7), (3, 7)])

    def test_another_key_of_an_empty_table(self: Any) -> None:
        """No column stays and no row is there: the new key works, and the way back as well."""
        thing = self.use(model("Thing", number=models.AutoField(primary_key=True)))
        self.update()
        thing.Insert([{}, {}])
        thing.Delete()
        thing = self.use(model("Thing"))
        self.update()
        first = thing.Insert()
        self.assertEqual([row.id for row in thing.Check()], [first])
        thing.Delete()
        self.update(1)
        thing = self.use(model("Thing", number=models.AutoField(primary_key=True)))
        self.assertGreaterEqual(thing.Insert(), first)

    def test_an_empty_table(self: Any) -> None:
        """Changed, it goes on with the numbers it had; dropped, it has not to be asked for by name."""
        user = self.with_users()
        user.Delete(where[user.id > 0])
        user = self.use(user_model(name=models.TextField(), mail=models.CharField(null=True, max_length=100)))
        self.update()
        self.assertEqual(user.Insert(name="d"), 4)  # 1 to 3 were given once
        user.Delete(where[user.id > 0])
        self.use(model("Pet", name=models.CharField()))
        self.assertIn("drop table user", " ".join(self.update().plan))
        self.assertEqual(set(self.state()[0]), {"pet"})

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


class UpdatesOnSQLite(SQLiteSchema, Updates, SynchronousTestCase):
    """An SQLite file."""


class UpdatesOnPostgreSQL(PostgreSQLSchema, Updates, SynchronousTestCase):
    """A PostgreSQL database."""


class UpdatesOnMySQL(MySQLSchema, Updates, SynchronousTestCase):
    """A MariaDB or MySQL database."""
