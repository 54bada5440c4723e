"""Fields: what they take, what they refuse, and that a bad declaration is told at once."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models
from fluxon.errors import ConfigurationError

#: Of each field: values that it takes, and values that it refuses.
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (models.CharField(max_length=3), ["", "abc", "äöü", "\U0001f600" * 3], ["abcd", 5, None, b"abc", "\ud800", "a\0"]),
    (models.TextField(), ["x" * 100_000], ["\udfff", "\0", ["x"]]),
    (models.IntegerField(), [0, -(2**63), 2**63 - 1], [2**63, -(2**63) - 1, True, 1.0, "1", float("nan")]),
    (models.BigIntegerField(), [2**40], [2**63, False]),
    (models.PositiveIntegerField(), [0, 2**63 - 1], [-1, 2**63]),
    (models.FloatField(), [0.5, 3, -1e300], [float("nan"), float("inf"), -float("inf"), True, "1", 10**400]),
    (
        models.DecimalField(max_digits=5, decimal_places=2),
        [Decimal("999.99"), Decimal("-0.01"), Decimal("1.50"), Decimal("1.5000"), 7, Decimal("1E+2"), Decimal(0)],
        [
            Decimal("1000"),
            Decimal("0.001"),
            Decimal("NaN"),
            Decimal("Infinity"),
            1.5,
            True,
            Decimal("1E+999999"),
            10**6,
        ],
    ),
    (models.BooleanField(), [True, False], [0, 1, "yes"]),
    (models.DateField(), [date(2020, 2, 29)], [datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01"]),
    (models.TimeField(), [time(23, 59)], [time(1, tzinfo=UTC), "10:00"]),
    (
        models.DateTimeField(),
        [datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=3)))],
        [
            datetime(2020, 1, 1),
            date(2020, 1, 1),
            "2020-01-01",
            datetime.min.replace(tzinfo=timezone(timedelta(hours=3))),
        ],
    ),
    (models.BinaryField(max_length=2), [b"", b"ab", bytearray(b"a"), memoryview(b"x")], ["ab", b"abc"]),
    (
        models.JSONField(),
        [{"a": [1, None, True, "x", 0.5]}, [], "text", 5],
        [{1: 2}, float("nan"), {"a": {1, 2}}, [2**63], ["\ud800"], {"\0": 1}],
    ),
    (models.UUIDField(), [uuid.UUID(int=5)], ["00000000-0000-0000-0000-000000000005", 5]),
    (models.EmailField(), ["jane@mail.com"], ["jane", "jane@mail.com\n", "a" * 300 + "@mail.com"]),
    (models.PasswordField(), ["Jane123@abc"], ["x" * 1_100, 5]),
    (models.CharField(choices=["a", ("b", "Bee")]), ["a", "b"], ["Bee", "c"]),
    (models.IntegerField(validators=[lambda value: value % 2 == 0]), [2], [3]),
]


class FieldValues(SynchronousTestCase):
    """What a value must be."""

    def test_values_are_taken_and_refused(self) -> None:
        """Every value in the table above is judged as it says, and a refusal says why without the value."""
        for number, (field, good, bad) in enumerate(CASES):
            field.declared(type("M", (), {}), f"field_{number}")
            for value in good:
                field.check(value)
            for value in bad:
                with self.subTest(field=type(field).__name__, value=str(value)[:30]):
                    error = self.assertRaises(ValueError, field.check, value)
                    self.assertTrue(str(error))

    def test_integers_that_no_decimal_holds(self) -> None:
        """Refused by their size, before anybody writes their millions of digits."""
        field = models.DecimalField(max_digits=18, decimal_places=0)
        for value in (2**63, -(2**63) - 1, 10**100_000):
            self.assertIn("18 digits", str(self.assertRaises(ValueError, field.convert, value)))
        self.assertEqual(field.convert(5), Decimal(5))

    def test_a_deep_document_is_refused_without_recursion(self) -> None:
        """A document 100,000 levels deep is refused, and does not end the process."""
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        self.assertRaises(ValueError, models.JSONField().check, deep)
        while deep:  # freed from the outside in, level by level
            deep = deep[0]

    def test_moments_are_stored_in_utc(self) -> None:
        """The same moment in another zone is the same value."""
        there = datetime(2020, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))
        self.assertEqual(models.DateTimeField().check(there), datetime(2020, 1, 1, tzinfo=UTC))
        self.assertEqual(models.DateTimeField().check(there).tzinfo, UTC)


class Declarations(SynchronousTestCase):
    """A bad declaration is an error when the class is made, with model and field named."""

    def refused(self, **fields: Any) -> str:
        """The text of the error that a model with these fields raises."""
        make = type(models.Model)
        return str(self.assertRaises(ConfigurationError, make, "Thing", (models.Model,), fields))

    def test_bad_options(self) -> None:
        """Each of these is told with the place of the mistake."""
        for field in (
            models.CharField(max_length=0),
            models.CharField(max_length="9"),  # type: ignore[arg-type]
            models.CharField(default=5),
            models.CharField(default=None),
            models.CharField(max_length=2, default="abc"),
            models.IntegerField(null="yes"),  # type: ignore[arg-type]
            models.IntegerField(validators=["positive"]),  # type: ignore[list-item]
            models.IntegerField(primary_key=True, null=True),
            models.DecimalField(max_digits=2, decimal_places=3),
            models.DecimalField(max_digits=19, decimal_places=0),
            models.DateTimeField(auto_now=True, default=None),
            models.ForeignKey("self", on_delete=models.SET_NULL),
            models.ForeignKey("self", on_delete=models.SET_DEFAULT),
            models.ForeignKey("self", on_delete="CASCADE"),
            models.ForeignKey(int),
            models.PasswordField(unique=True),
            models.JSONField(default={}),
            models.AutoField(primary_key=False),
        ):
            self.assertIn("Thing.broken", self.refused(broken=field))

    def test_bad_models(self) -> None:
        """Two keys, a taken name, a bad name, a concrete base: each is told."""
        key = models.IntegerField(primary_key=True)
        self.assertIn("more than one primary key", self.refused(a=key, b=models.IntegerField(primary_key=True)))
        self.assertIn("Thing.Insert", self.refused(Insert=models.IntegerField()))
        self.assertIn("Thing._x", self.refused(_x=models.IntegerField()))
        self.assertIn("id", self.refused(id=models.IntegerField()))

        class Base(models.Model):
            pass

        self.assertRaises(ConfigurationError, type(models.Model), "Child", (Base,), {})
        self.assertRaises(ConfigurationError, type(models.Model), "Fluxon_x", (models.Model,), {})
        user = {"number": models.IntegerField(primary_key=True)}
        self.assertRaises(ConfigurationError, type(models.Model), "User", (models.AuthenticatedUser,), user)

    def test_abstract_models_share_fields(self) -> None:
        """Each model that derives from an abstract one has fields of its own."""

        class Stamped(models.Model):
            made = models.DateTimeField(auto_now_add=True)

            class Meta:
                abstract = True

        class One(Stamped):
            name = models.CharField()

        class Two(Stamped):
            pass

        self.assertEqual(list(One.declaration.fields), ["id", "made", "name"])
        self.assertIsNot(One.declaration.fields["made"], Two.declaration.fields["made"])
        self.assertEqual(str(Two.declaration.fields["made"]), "Two.made")

    def test_models_are_not_instantiated(self) -> None:
        """A model is no record; the error says what to call."""

        class Thing(models.Model):
            pass

        self.assertIn("Insert", str(self.assertRaises(TypeError, Thing)))
