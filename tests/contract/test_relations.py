"""Relations on every database: what a deletion does, conditions across models, rows in pairs, rules of columns."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from every_database import MySQLCase, PostgreSQLCase, SQLiteCase, SQLiteThreadCase
from twisted.internet.defer import Deferred, gatherResults

from fluxon.database import models
from fluxon.database.query import where
from fluxon.errors import AlreadyExists, ConfigurationError, Conflict, InvalidPayload


def library() -> list[Any]:
    """Models with every kind of relation."""

    class Writer(models.Model):
        name = models.CharField(max_length=50)
        age = models.IntegerField(null=True)
        mentor = models.ForeignKey("self", on_delete=models.SET_NULL, null=True)
        friends = models.ManyToManyField("self", through="Friendship", through_fields=("one", "other"))

    class Passport(models.Model):
        holder = models.OneToOneField(Writer, primary_key=True)
        number = models.CharField(max_length=20, unique=True)

    class Visa(models.Model):
        passport = models.ForeignKey(Passport)

    class Book(models.Model):
        title = models.CharField(max_length=50)
        pages = models.IntegerField(default=100)
        read = models.IntegerField(default=0)
        writer = models.ForeignKey("Writer", on_delete=models.CASCADE)
        editor = models.ForeignKey(Writer, on_delete=models.PROTECT, null=True)
        translator = models.ForeignKey(Writer, on_delete=models.SET_NULL, null=True)
        owner = models.ForeignKey(Writer, on_delete=models.NO_ACTION, null=True)
        tags = models.ManyToManyField(to_table="Tag", through="Tagging")

        class Meta:
            unique_together = ("writer", "title")
            indexes = [("pages", "title")]
            checks = {"some_read": lambda Book: (Book.read <= Book.pages) & (Book.pages > 0)}

    class Tag(models.Model):
        name = models.CharField(max_length=50, unique=True)

    class Tagging(models.Model):
        book = models.ForeignKey(Book)
        tag = models.ForeignKey(Tag)
        weight = models.IntegerField(default=1)
        reason = models.CharField(max_length=20, default="")

    class Friendship(models.Model):
        one = models.ForeignKey(Writer)
        other = models.ForeignKey(Writer)

    class Country(models.Model):
        name = models.CharField(max_length=50)
        capital = models.ForeignKey("City", on_delete=models.SET_NULL, null=True)

    class City(models.Model):
        name = models.CharField(max_length=50)
        country = models.ForeignKey(Country)

    return [Writer, Passport, Visa, Book, Tag, Tagging, Friendship, Country, City]


class Relations:
    """The suite; a class at the end joins it with a database."""

    def declare(self: Any) -> list[Any]:
        return library()

    async def fill(self: Any) -> tuple[int, int, int]:
        """Ann, Ben, whose mentor is Ann, and Cid, whose is Ben; a book of each."""
        ann = await self.ask(self.Writer.Insert, name="Ann", age=70)
        ben = await self.ask(self.Writer.Insert, name="Ben", mentor=ann, age=50)
        cid = await self.ask(self.Writer.Insert, name="Cid", mentor=ben)
        for number, writer in enumerate((ann, ben, cid)):
            await self.ask(self.Book.Insert, title=f"Book {number}", writer=writer)
        return ann, ben, cid

    async def titles(self: Any, condition: Any, **options: Any) -> list[str]:
        options.setdefault("order_by", "id")
        rows = await self.ask(self.Book.Check, where[condition], columns=["title"], **options)
        return [row.title[5:] for row in rows]

    async def test_cascade_and_set_null(self: Any) -> None:
        """A writer's own books go with them; one they translated stays, without translator."""
        ann, ben, _ = await self.fill()
        await self.ask(self.Book.Update, {"translator": ann}, where[self.Book.writer == ben])
        await self.ask(self.Writer.Delete, where[self.Writer.id == ann])
        rows = await self.ask(self.Book.Check, order_by="id")
        self.assertEqual([(row.title, row.translator) for row in rows], [("Book 1", None), ("Book 2", None)])
        self.assertIsNone((await self.ask(self.Writer.Get, ben)).mentor)

    async def test_protect_and_no_action(self: Any) -> None:
        """What is referred to so is not deleted, nor is anything else of that call; without the reference it is."""
        Writer, Book = self.Writer, self.Book
        ann, ben, cid = await self.fill()
        for column in ("editor", "owner"):
            await self.ask(Book.Update, {column: ann}, where[Book.writer == ben])
            await self.fails(Conflict, Writer.Delete, where[Writer.id.in_([ann, cid])])
            self.assertEqual(await self.ask(Writer.Count), 3)
            await self.ask(Book.Update, {column: None})
        self.assertEqual(await self.ask(Writer.Delete, where[Writer.id.in_([ann, cid])]), 2)

    async def test_references_in_a_circle(self: Any) -> None:
        """Two models that refer to each other: both are made, filled, and emptied as each reference says."""
        country = await self.ask(self.Country.Insert, name="France")
        city = await self.ask(self.City.Insert, name="Paris", country=country)
        await self.ask(self.Country.Update, {"capital": city})
        self.assertIs(await self.ask(self.Country.Insert, name="Atlantis", capital=99), False)
        condition = where[self.Country.capital.country.name == "France"]
        self.assertEqual(await self.ask(self.Country.Count, condition), 1)
        await self.ask(self.City.Delete)
        self.assertIsNone((await self.ask(self.Country.Get, country)).capital)
        await self.ask(self.City.Insert, name="Paris", country=country)
        await self.ask(self.Country.Delete)
        self.assertEqual(await self.ask(self.City.Count), 0)

    async def test_a_reference_as_key(self: Any) -> None:
        """A passport has its holder's key: one each, found by it, and gone with the holder."""
        _, ben, _ = await self.fill()
        self.assertEqual(await self.ask(self.Passport.Insert, holder=ben, number="X"), ben)
        self.assertIs(await self.ask(self.Passport.Insert, holder=ben, number="Y"), False)
        visa = await self.ask(self.Visa.Insert, passport=ben)
        self.assertEqual((await self.ask(self.Passport.Get, ben)).number, "X")
        condition = where[self.Visa.passport.holder.mentor.name == "Ann"]
        self.assertEqual(await self.ask(self.Visa.Check, condition, columns=["id"]), [(visa,)])
        await self.ask(self.Writer.Delete, where[self.Writer.id == ben])
        self.assertEqual(await self.ask(self.Visa.Count), 0)

    async def test_conditions_across_relations(self: Any) -> None:
        """One level and several, together with columns of its own; to itself; and on the key, which needs no join."""
        Book = self.Book
        ann, ben, _ = await self.fill()
        self.assertEqual(await self.titles(Book.writer.name == "Ben"), ["1"])
        self.assertEqual(await self.titles(Book.writer.id == ben), ["1"])
        self.assertEqual(await self.titles(Book.writer.mentor.name == "Ann"), ["1"])
        self.assertEqual(await self.titles(Book.writer.mentor.mentor.name.startswith("A")), ["2"])
        self.assertEqual(await self.titles((Book.writer.age > 40) & (Book.writer.mentor == ann)), ["1"])
        self.assertEqual(await self.titles(Book.writer.name.in_(["Ann", "Cid"])), ["0", "2"])
        self.assertEqual(await self.titles(Book.writer.age.between(60, 80)), ["0"])
        self.assertEqual(await self.titles(Book.writer.name > Book.writer.mentor.name), ["1", "2"])
        self.assertEqual(await self.ask(Book.Count, where[Book.writer.mentor.name == "Ben"]), 1)
        found = await self.ask(Book.Get, where[Book.writer.name == "Cid"])
        self.assertEqual(found.title, "Book 2")

    async def test_empty_references_in_conditions(self: Any) -> None:
        """A book without translator is a row like any other, and only a null test finds what is not there."""
        Book = self.Book
        ann, _, _ = await self.fill()
        await self.ask(Book.Update, {"translator": ann}, where[Book.title == "Book 2"])
        self.assertEqual(await self.titles((Book.translator.name == "Ann") | (Book.title == "Book 0")), ["0", "2"])
        self.assertEqual(await self.titles(Book.translator.name == None), ["0", "1"])  # noqa: E711
        self.assertEqual(await self.titles(Book.translator.mentor.is_null()), ["0", "1", "2"])
        self.assertEqual(await self.titles(Book.translator.name != "Ben"), ["2"])
        self.assertEqual(await self.titles(~(Book.translator.name == "Ben")), ["2"])
        self.assertEqual(await self.titles(Book.writer.age.is_null()), ["2"])
        self.assertEqual(await self.titles(Book.translator.name.is_not_null()), ["2"])

    async def test_order_and_columns_across_relations(self: Any) -> None:
        """Empty ones come first, whichever the database; columns of other models are named by their way."""
        Book = self.Book
        await self.fill()
        everything = Book.id > 0
        by_mentor = Book.writer.mentor.name
        self.assertEqual(await self.titles(everything, order_by=by_mentor), ["0", "1", "2"])
        self.assertEqual(await self.titles(everything, order_by=[by_mentor.desc()]), ["2", "1", "0"])
        self.assertEqual(await self.titles(everything, order_by=[Book.writer.name.desc()], fetch=2), ["2", "1"])
        self.assertEqual(await self.titles(everything, order_by=[Book.writer.age, "id"]), ["2", "1", "0"])
        rows = await self.ask(Book.Check, columns=[Book.title, Book.writer.name, by_mentor], order_by="title")
        self.assertEqual(rows[:2], [("Book 0", "Ann", None), ("Book 1", "Ben", "Ann")])
        self.assertEqual(rows[1].writer_mentor_name, "Ann")
        await self.fails(InvalidPayload, Book.Check, columns=[Book.writer.name, Book.writer.name])
        await self.fails(InvalidPayload, Book.Check, columns=["writer.name"])
        await self.fails(TypeError, Book.Check, columns=[self.Writer.name])
        await self.fails(TypeError, Book.Check, columns=[self.Visa.passport.number])
        await self.fails(TypeError, Book.Insert, {Book.writer.name: "x"})

    async def test_changes_across_relations(self: Any) -> None:
        """``Update`` and ``Delete`` touch the rows whose relations meet the condition, and no others."""
        Book = self.Book
        await self.fill()
        self.assertEqual(await self.ask(Book.Update, {"pages": 7}, where[Book.writer.mentor.name == "Ann"]), 1)
        self.assertEqual(await self.titles(Book.pages == 7), ["1"])
        condition = where[(Book.writer.name == "Cid") | (Book.translator.name == "Zoe")]
        self.assertEqual(await self.ask(Book.Delete, condition), 1)
        self.assertEqual(await self.titles(Book.id > 0), ["0", "1"])
        Writer = self.Writer
        self.assertEqual(await self.ask(Writer.Update, {"age": 1}, where[Writer.mentor.mentor.name == "Ann"]), 1)

    async def test_rows_in_pairs(self: Any) -> None:
        """add, remove, list, count, clear; what is there already is not added again."""
        Book, Tag, Tagging = self.Book, self.Tag, self.Tagging
        await self.fill()
        first, second = [row.id for row in await self.ask(Book.Check, order_by="id", fetch=2)]
        red, old, big = [await self.ask(Tag.Insert, name=name) for name in ("red", "old", "big")]
        tags = Book.tags(first)
        self.assertEqual(await self.ask(tags.list), [])
        self.assertEqual(await self.ask(tags.add, red, big, weight=5), 2)
        self.assertEqual(await self.ask(tags.add, red, old, red), 1)
        self.assertEqual(await self.ask(Book.tags(second).add, red), 1)
        rows = await self.ask(tags.list, order_by="name")
        self.assertEqual([(row.id, row.name) for row in rows], [(big, "big"), (old, "old"), (red, "red")])
        found = await self.ask(tags.list, where[Tag.name != "old"], columns=["name"], order_by="-name", fetch=1)
        self.assertEqual(found, [("red",)])
        self.assertEqual(await self.ask(tags.count), 3)
        self.assertEqual(await self.ask(tags.count, where[Tag.name == "red"]), 1)
        weights = await self.ask(Tagging.Check, where[Tagging.book == first], columns=["weight"], order_by="tag")
        self.assertEqual(weights, [(5,), (1,), (5,)])
        self.assertEqual(await self.titles(Book.tags.has(red)), ["0", "1"])
        self.assertEqual(await self.titles(~Book.tags.has(red)), ["2"])
        self.assertEqual(await self.titles(Book.tags.has(red) & Book.tags.has(big)), ["0"])
        self.assertEqual(await self.ask(tags.remove, red, 999), 1)
        self.assertEqual(await self.ask(Book.tags(second).count), 1)
        self.assertEqual(await self.ask(tags.clear), 2)
        self.assertEqual(await self.ask(Book.Delete, where[Book.tags.has(red)]), 1)

    async def test_the_same_pair_many_times_at_once(self: Any) -> None:
        """Twenty callers who add one pair make one row, without a constraint that says so."""
        await self.fill()
        book = (await self.ask(self.Book.Check, fetch=1))[0].id
        tag = await self.ask(self.Tag.Insert, name="red")
        adding = [Deferred.fromCoroutine(self.ask(self.Book.tags(book).add, tag)) for _ in range(20)]
        self.assertEqual(sum(await gatherResults(adding)), 1)
        self.assertEqual(await self.ask(self.Tagging.Count), 1)

    async def test_pairs_that_cannot_be(self: Any) -> None:
        """A row that does not exist, a key of a wrong type, none at all: an error, and no pair of the call is kept."""
        Book = self.Book
        await self.fill()
        tag = await self.ask(self.Tag.Insert, name="red")
        tags = Book.tags((await self.ask(Book.Check, fetch=1))[0].id)
        await self.fails(Conflict, tags.add, tag, 999)
        await self.fails(Conflict, Book.tags(999).add, tag)
        self.assertEqual(await self.ask(self.Tagging.Count), 0)
        await self.fails(InvalidPayload, tags.add, "1")
        await self.fails(InvalidPayload, tags.add, tag, reason="x" * 30)
        await self.fails(InvalidPayload, tags.add, tag, nothing=1)
        await self.fails(InvalidPayload, tags.add, tag, reason=None)
        await self.fails(TypeError, tags.remove)
        await self.fails(TypeError, tags.list, where=None)
        self.assertRaises(InvalidPayload, Book.tags, "1")
        self.assertRaises(TypeError, bool, Book.tags)
        self.assertRaises(TypeError, lambda: Book.tags == 1)

    async def test_pairs_of_one_model(self: Any) -> None:
        """Friends: the first reference is one's own side."""
        Writer = self.Writer
        ann, ben, cid = await self.fill()
        await self.ask(Writer.friends(ann).add, ben, cid)
        self.assertEqual(
            await self.ask(Writer.friends(ann).list, columns=["name"], order_by="id"), [("Ben",), ("Cid",)]
        )
        self.assertEqual(await self.ask(Writer.friends(ben).list), [])

    async def test_pairs_in_a_transaction(self: Any) -> None:
        """Inside ``transaction`` the calls answer at once, and are kept or undone with it."""
        await self.fill()
        Book, Tag = self.Book, self.Tag

        def work() -> Any:
            book, tag = Book.Check(fetch=1)[0].id, Tag.Insert(name="red")
            Book.tags(book).add(tag)
            return Book.tags(book).count()

        self.assertEqual(await self.ask(self.database.transaction, work), 1)

    async def test_rules_of_several_columns(self: Any) -> None:
        """A pair that must be unique, and a check: Insert answers False, Update raises, and rows that fit are taken."""
        Book = self.Book
        ann, ben, _ = await self.fill()
        self.assertIs(await self.ask(Book.Insert, title="Book 0", writer=ann), False)
        self.assertTrue(await self.ask(Book.Insert, title="Book 0", writer=ben))
        await self.fails(AlreadyExists, Book.Update, {"title": "Book 0"}, where[Book.title == "Book 1"])
        self.assertIs(await self.ask(Book.Insert, title="x", writer=ann, pages=5, read=6), False)
        self.assertIs(await self.ask(Book.Insert, title="x", writer=ann, pages=0), False)
        self.assertTrue(await self.ask(Book.Insert, title="x", writer=ann, pages=5, read=5))
        await self.fails(InvalidPayload, Book.Update, {"read": 6}, where[Book.title == "x"])

    async def test_core_statements(self: Any) -> None:
        """What the calls of a model do not say is run as Core says it: read, changed, in transactions."""
        await self.fill()
        run, writer, book = self.database.run, self.database.table(self.Writer), self.database.table(self.Book)
        per_writer = (
            sqlalchemy.select(writer.c.name, sqlalchemy.func.count().label("books"))
            .join(book, book.c.writer == writer.c.id)
            .where(writer.c.name >= sqlalchemy.bindparam("name"))
            .group_by(writer.c.name)
            .order_by(writer.c.name)
        )
        rows = await self.ask(run, per_writer, {"name": "Ben"})
        self.assertEqual(rows, [("Ben", 1), ("Cid", 1)])
        self.assertEqual((rows[0].name, rows[0].books), ("Ben", 1))
        older = sqlalchemy.update(writer).values(age=writer.c.age + 1)
        self.assertEqual(await self.ask(run, older.where(writer.c.age.is_not(None))), 2)
        self.assertEqual(await self.ask(self.database.transaction, lambda: run(older)), 3)
        self.assertEqual((await self.ask(self.Writer.Get, where[self.Writer.name == "Ann"])).age, 72)

    async def test_text_is_not_run(self: Any) -> None:
        """SQL as text, wherever it is, a definition of a table, and a table that is not bound are refused."""
        book = self.database.table(self.Book)
        for statement in (
            "DELETE FROM book",
            sqlalchemy.text("DELETE FROM book"),
            sqlalchemy.select(book).where(sqlalchemy.text("1 = 1")),
            sqlalchemy.select(sqlalchemy.literal_column("1")),
            sqlalchemy.delete(book).where(book.c.id.in_(sqlalchemy.select(sqlalchemy.text("1")))),
            sqlalchemy.schema.DropTable(book),
            None,
        ):
            await self.fails(TypeError, self.database.run, statement)

        class Stranger(models.Model):
            pass

        self.assertRaises(ConfigurationError, self.database.table, Stranger)


class WithDefaults:
    """``SET_DEFAULT``, which MariaDB does not keep."""

    def declare(self: Any) -> list[Any]:
        class Shelf(models.Model):
            name = models.CharField(max_length=20)

        class Book(models.Model):
            shelf = models.ForeignKey(Shelf, on_delete=models.SET_DEFAULT, default=1)

        return [Shelf, Book]

    async def test_set_default(self: Any) -> None:
        """A book whose shelf goes stands on the first one; and the first one stays while books are on it."""
        first, second = [await self.ask(self.Shelf.Insert, name=name) for name in "ab"]
        book = await self.ask(self.Book.Insert, shelf=second)
        await self.ask(self.Shelf.Delete, where[self.Shelf.id == second])
        self.assertEqual((await self.ask(self.Book.Get, book)).shelf, first)
        await self.fails(Conflict, self.Shelf.Delete)


class OnSQLite(Relations, SQLiteCase):
    """SQLite, on the reactor's thread."""


class OnSQLiteInAThread(Relations, SQLiteThreadCase):
    """SQLite, in a thread."""


class OnPostgreSQL(Relations, PostgreSQLCase):
    """PostgreSQL, on the reactor's thread."""


class OnMySQL(Relations, MySQLCase):
    """MariaDB or MySQL, in a thread."""


class DefaultsOnSQLite(WithDefaults, SQLiteCase):
    """SQLite."""


class DefaultsOnPostgreSQL(WithDefaults, PostgreSQLCase):
    """PostgreSQL."""
