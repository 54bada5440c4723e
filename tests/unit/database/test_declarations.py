"""Mistakes in models are told when the class is made, or when it is bound, with the model and the field named."""

from __future__ import annotations

import enum
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.schema.text import schema_of
from fluxon.errors import ConfigurationError, InvalidPayload

ModelType = type(models.Model)


def model(title: str, /, *bases: Any, meta: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A model made on the spot."""
    return ModelType(title, bases or (models.Model,), {**fields, **({"Meta": type("Meta", (), meta)} if meta else {})})


class Fields(SynchronousTestCase):
    """What one field may say."""

    def refused(self, field: Any) -> str:
        text = str(self.assertRaises(ConfigurationError, model, "Thing", broken=field))
        self.assertTrue(text.startswith("Thing.broken"), text)
        return text

    def test_options_that_do_not_exist(self) -> None:
        """A misspelt option is no TypeError from the depths, but names the field and the options there are."""
        text = self.refused(models.CharField(max_lenght=5))  # type: ignore[call-arg]
        self.assertIn("'max_lenght'", text)
        self.assertIn("max_length", text)
        self.refused(models.ForeignKey())  # type: ignore[call-arg]
        self.assertIn("max_digits", self.refused(models.DecimalField()))  # type: ignore[call-arg]
        self.refused(models.ManyToManyField("Thing"))  # type: ignore[call-arg]
        self.refused(models.CharField(100))  # type: ignore[misc]

    def test_options_that_make_no_sense(self) -> None:
        """Lengths and digits that nothing has, keys that nothing finds, a clock that is a text."""
        for field, word in (
            (models.BinaryField(max_length=0), "max_length"),
            (models.BinaryField(max_length="10"), "max_length"),  # type: ignore[arg-type]
            (models.BinaryField(default=b"x"), "default"),
            (models.JSONField(unique=True), "no key"),
            (models.JSONField(db_index=True), "no index"),
            (models.DecimalField(max_digits=0, decimal_places=0), "max_digits"),
            (models.DecimalField(max_digits=2, decimal_places=3), "decimal_places"),
            (models.DateField(auto_now="yes"), "auto_now"),  # type: ignore[arg-type]
            (models.DateTimeField(auto_now_add=1), "auto_now_add"),  # type: ignore[arg-type]
        ):
            self.assertIn(word, self.refused(field))

    def test_a_class_in_place_of_a_field(self) -> None:
        """Without parentheses nothing is declared, so nobody would see that a column is missing."""
        for kind in (models.CharField, models.ManyToManyField):
            self.assertIn(f"{kind.__name__}(), with parentheses", self.refused(kind))

    def test_choices(self) -> None:
        """Each is a value of the field; a text is no list of letters; an Enum gives its values."""
        for choices in ("abc", 5, [], ["a", 1], ["toolong"], {1: "x"}):
            self.refused(models.CharField(max_length=3, choices=choices))  # type: ignore[arg-type]
        self.refused(models.CharField(max_length=3, choices=["a"], default="b"))
        self.refused(models.ForeignKey("self", choices=[1]))

        class Size(enum.Enum):
            SMALL = "S"
            LARGE = "L"

        class Empty(enum.Enum):
            """Of nothing."""

        class Other(enum.Enum):
            SMALL = "S"

        self.refused(models.CharField(choices=Empty))
        self.refused(models.CharField(choices=Size, default=Other.SMALL))
        thing = model("Thing", size=models.CharField(choices=Size, default=Size.SMALL))
        field = thing.declaration.fields["size"]
        self.assertEqual(field.check("L"), "L")
        self.assertRaises(ValueError, field.check, "M")
        self.assertRaises(ValueError, field.check, "SMALL")
        # A member stands for its value; another Enum's is nothing that was declared.
        self.assertEqual(field.check(Size.LARGE), "L")
        self.assertRaises(ValueError, field.check, Other.SMALL)
        self.assertEqual((thing.size == Size.LARGE).values, ("L",))
        self.assertEqual(thing.size.in_([Size.LARGE, "S"]).values, ("L", "S"))
        self.assertRaises(InvalidPayload, lambda: thing.size == Other.SMALL)
        self.assertEqual(str(field.server_default().value), "S")

    def test_validators(self) -> None:
        """A function, not a list of them, is a mistake; so is a text."""
        for validators in (len, "positive", None):
            self.refused(models.CharField(validators=validators))  # type: ignore[arg-type]

    def test_one_field_in_two_places(self) -> None:
        """A field knows its one place; sharing one would make both columns the later one."""
        shared = models.CharField()
        text = str(self.assertRaises(ConfigurationError, model, "Thing", one=shared, two=shared))
        self.assertIn("Thing.two", text)

    def test_names(self) -> None:
        """Columns that differ in case alone are one to most databases; odd names cannot be quoted everywhere."""
        self.assertIn(
            "Name",
            str(self.assertRaises(ConfigurationError, model, "T", name=models.CharField(), Name=models.CharField())),
        )
        for name in ("a b", 'a"b', "a`b", "a.b", "x" * 64, "é" * 32, "declaration"):
            self.assertRaises(ConfigurationError, model, "T", **{name: models.CharField()})


class Together(SynchronousTestCase):
    """What models say of each other, and ``class Meta``."""

    def bind(self, *declared: Any) -> Any:
        database = SQLiteDatabase("never-opened", models=list(declared))
        self.addCleanup(database.unbind)
        return database

    def test_models_that_are_none(self) -> None:
        """What ``models=`` takes is a module or a list of models, and says so for anything else."""
        for given, word in (([model("A"), str], "str"), (model("A"), "import models"), (7, "import models")):
            text = str(self.assertRaises(ConfigurationError, SQLiteDatabase, "never-opened", models=given))
            self.assertIn(word, text)

    def test_two_models_with_one_table(self) -> None:
        """Tables have lower-case names, so names that differ in case alone would share one."""
        text = str(self.assertRaises(ConfigurationError, self.bind, model("Thing"), model("THING")))
        self.assertIn("'thing'", text)

    def test_one_authenticated_user(self) -> None:
        """Two would make ``request.user`` a question."""
        users = [model(name, models.AuthenticatedUser) for name in ("User", "Member")]
        text = str(self.assertRaises(ConfigurationError, self.bind, *users))
        self.assertIn("User and Member", text)
        self.assertIs(self.bind(users[0]).user_model, users[0])

    def test_relations_that_lead_nowhere(self) -> None:
        """An unknown name, a model that is not bound, keys in a circle, a linking model without the references."""
        stranger = model("Stranger")
        for declared in (
            [model("A", b=models.ForeignKey("Nobody"))],
            [model("A", b=models.ForeignKey(stranger))],
            [
                model("A", b=models.OneToOneField("B", primary_key=True)),
                model("B", a=models.OneToOneField("A", primary_key=True)),
            ],
            [model("A", a=models.OneToOneField("self", primary_key=True))],
            [model("A", b=models.ForeignKey("B", default="x")), model("B")],
            [model("A", more=models.ManyToManyField("A", through="Nobody"))],
            [model("A", more=models.ManyToManyField("B", through="B")), model("B", a=models.ForeignKey("A"))],
            [model("A", a=models.ForeignKey("self", primary_key=True))],
            [
                model("A", more=models.ManyToManyField("B", through="C")),
                model("B"),
                model("C", a=models.ForeignKey("A"), b=models.ForeignKey("B"), also=models.ForeignKey("B")),
            ],
        ):
            text = str(self.assertRaises(ConfigurationError, self.bind, *declared))
            self.assertTrue(text.startswith(("A.", "B.")), text)

    def test_names_of_two_references(self) -> None:
        """``through_fields`` that are not two names are told when the class is made."""
        for wrong in (("a",), ("a", "b", "c"), ("a", 2), "ab", 5):
            many = models.ManyToManyField("B", through="C", through_fields=wrong)
            self.assertIn("A.more", str(self.assertRaises(ConfigurationError, model, "A", more=many)))

    def test_attributes_across_relations(self) -> None:
        """A column that is not there is told by its whole way; before binding, a name is not known yet."""
        b = model("B", a=models.ForeignKey("A", null=True), size=models.IntegerField())
        self.assertRaises(ConfigurationError, getattr, b.a, "size")
        a = model("A", b=models.ForeignKey(b))
        self.bind(a, b)
        self.assertIn("A.b.nothing", str(self.assertRaises(AttributeError, getattr, a.b, "nothing")))
        self.assertEqual(repr(a.b.a.b.size), "<A.b.a.b.size>")
        self.assertRaises(AttributeError, getattr, a.b, "__wrapped__")
        way = a.b
        with self.assertRaises(TypeError):
            for _ in range(20):
                way = way.a.b
        error = self.assertRaises(InvalidPayload, lambda: a.b.size == "x")
        self.assertIn("size", str(error))

    def test_meta_that_is_wrong(self) -> None:
        """Unknown options, columns that are not there, checks that are no conditions of one row."""
        fields = {"x": models.IntegerField(), "data": models.JSONField(null=True)}
        for meta in (
            {"ordering": ["x"]},
            {"abstract": "yes"},
            {"renamed_from": 5},
            {"unique_together": "x"},
            {"unique_together": [("x", "y")]},
            {"unique_together": [("x", "x")]},
            {"unique_together": [("x", "data")]},
            {"indexes": [()]},
            {"indexes": [("x", 5)]},
            {"checks": [lambda T: T.x > 0]},
            {"checks": {"positive": "x > 0"}},
            {"checks": {"a b": lambda T: T.x > 0}},
            {"checks": {"x": lambda T: T.x > 0}},
        ):
            text = str(self.assertRaises(ConfigurationError, model, "Thing", meta=meta, **fields_anew(fields)))
            self.assertTrue(text.startswith("Thing.Meta"), text)
        for check in (
            lambda T: True,
            lambda T: T.nothing > 0,
            lambda T: T.x > "0",
            lambda T: T.other.x > 0,
            lambda T: None,
        ):
            thing = model(
                "Thing",
                x=models.IntegerField(),
                other=models.ForeignKey("self", null=True),
                meta={"checks": {"some": check}},
            )
            text = str(self.assertRaises(ConfigurationError, self.bind, thing))
            self.assertTrue(text.startswith("Thing.Meta.checks['some']"), text)

    def test_meta_of_abstract_models(self) -> None:
        """Rules come along with the fields they are about, into each model; a field can be left out."""
        base = model(
            "Base",
            x=models.IntegerField(),
            y=models.IntegerField(),
            note=models.TextField(null=True),
            meta={"abstract": True, "unique_together": ("x", "y"), "checks": {"order": lambda T: T.x < T.y}},
        )
        one = model("One", base, z=models.IntegerField(), meta={"indexes": [("z", "x")]})
        two = model("Two", base, note=None)
        text = schema_of(self.bind(one, two)).body
        for part in (
            'CONSTRAINT uq_one_x_y UNIQUE ("x", "y")',
            'CONSTRAINT uq_two_x_y UNIQUE ("x", "y")',
            'CONSTRAINT ck_one_order CHECK ("x" < "y")',
            'CREATE INDEX ix_one_z_x ON "one" ("z", "x")',
        ):
            self.assertIn(part, text)
        self.assertEqual(text.count('"note"'), 1)
        self.assertEqual(list(two.declaration.fields), ["id", "x", "y"])


def fields_anew(fields: dict[str, Any]) -> dict[str, Any]:
    """The same declarations for another model."""
    return {name: type(field)(null=field.null) for name, field in fields.items()}
