"""A music shop's database that nobody here designed: Chinook, the public sample database.

Its tables, columns and keys, and some of its rows, are declared here as models; they are made, filled, queried and
brought to another schema on every database.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy
from every_database import MySQLCase, PostgreSQLCase, SQLiteCase, SQLiteThreadCase
from twisted.internet import threads

from fluxon.database import models, schema
from fluxon.database.query import where
from fluxon.errors import Conflict

PRICE = Decimal("0.99")


def chinook(*, changed: bool = False) -> list[Any]:
    """The eleven tables; ``changed`` as a next version of the program might have them."""

    class Artist(models.Model):
        if changed:
            title = models.CharField(max_length=150, null=True, renamed_from="name")
        else:
            name = models.CharField(max_length=120, null=True)

    class Album(models.Model):
        title = models.CharField(max_length=160)
        artist = models.ForeignKey(Artist, on_delete=models.NO_ACTION)

    class Person(models.Model):
        """What employees and customers have in common."""

        last_name = models.CharField(max_length=40)
        first_name = models.CharField(max_length=40)
        address = models.CharField(max_length=70, null=True)
        city = models.CharField(max_length=40, null=True)
        state = models.CharField(max_length=40, null=True)
        country = models.CharField(max_length=40, null=True)
        postal_code = models.CharField(max_length=10, null=True)
        phone = models.CharField(max_length=24, null=True)
        if not changed:
            fax = models.CharField(max_length=24, null=True)

        class Meta:
            abstract = True

    class Employee(Person):
        title = models.CharField(max_length=30, null=True)
        reports_to = models.ForeignKey("self", on_delete=models.NO_ACTION, null=True)
        birth_date = models.DateField(null=True)
        hire_date = models.DateField(null=True)
        email = models.EmailField(max_length=60, null=True)

    class Customer(Person):
        company = models.CharField(max_length=80, null=True)
        email = models.EmailField(max_length=60)
        support_rep = models.ForeignKey(Employee, on_delete=models.NO_ACTION, null=True)
        if changed:
            points = models.PositiveIntegerField(default=0)

    class Genre(models.Model):
        name = models.CharField(max_length=120, null=True)

    class MediaType(models.Model):
        name = models.CharField(max_length=120, null=True)

    class Invoice(models.Model):
        customer = models.ForeignKey(Customer, on_delete=models.NO_ACTION)
        invoice_date = models.DateTimeField()
        billing_city = models.CharField(max_length=40, null=True)
        billing_country = models.CharField(max_length=40, null=True)
        total = models.DecimalField(max_digits=10, decimal_places=2)

        class Meta:
            indexes = [("billing_country", "invoice_date")] if changed else []

    class Track(models.Model):
        name = models.CharField(max_length=200)
        album = models.ForeignKey(Album, on_delete=models.NO_ACTION, null=True)
        media_type = models.ForeignKey("MediaType", on_delete=models.NO_ACTION)
        genre = models.ForeignKey("Genre", on_delete=models.NO_ACTION, null=True)
        composer = models.CharField(max_length=220, null=True)
        milliseconds = models.IntegerField()
        bytes = models.IntegerField(null=True)
        unit_price = models.DecimalField(max_digits=12 if changed else 10, decimal_places=2)

    class InvoiceLine(models.Model):
        invoice = models.ForeignKey(Invoice, on_delete=models.NO_ACTION)
        track = models.ForeignKey(Track, on_delete=models.NO_ACTION)
        unit_price = models.DecimalField(max_digits=10, decimal_places=2)
        quantity = models.IntegerField()

    class Playlist(models.Model):
        name = models.CharField(max_length=120, null=True)
        tracks = models.ManyToManyField(Track, through="PlaylistTrack")

    class PlaylistTrack(models.Model):
        playlist = models.ForeignKey(Playlist, on_delete=models.NO_ACTION)
        track = models.ForeignKey(Track, on_delete=models.NO_ACTION)

        class Meta:
            unique_together = [("playlist", "track")]

    return [
        Artist,
        Album,
        Employee,
        Customer,
        Genre,
        MediaType,
        Invoice,
        Track,
        InvoiceLine,
        Playlist,
        PlaylistTrack,
    ]


def rows_of(m: Any) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Some rows of Chinook, with their own keys, in the order of their references."""

    def rows(names: str, *values: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [dict(zip(names.split(), each, strict=True)) for each in values]

    def day(number: int) -> datetime:
        return datetime(2021, 1, number, tzinfo=UTC)

    return [
        (m.Artist, rows("id name", (1, "AC/DC"), (2, "Accept"), (3, "Aerosmith"), (4, "Alanis Morissette"))),
        (
            m.Album,
            rows(
                "id title artist",
                (1, "For Those About To Rock We Salute You", 1),
                (2, "Balls to the Wall", 2),
                (3, "Restless and Wild", 2),
                (4, "Let There Be Rock", 1),
                (5, "Big Ones", 3),
                (6, "Jagged Little Pill", 4),
            ),
        ),
        (m.Genre, rows("id name", (1, "Rock"), (2, "Jazz"), (3, "Metal"))),
        (m.MediaType, rows("id name", (1, "MPEG audio file"), (2, "Protected AAC audio file"))),
        (
            m.Track,
            rows(
                "id name album media_type genre composer milliseconds bytes unit_price",
                (1, "For Those About To Rock (We Salute You)", 1, 1, 1, "Angus Young", 343719, 11170334, PRICE),
                (2, "Balls to the Wall", 2, 2, 1, None, 342562, 5510424, PRICE),
                (3, "Fast As a Shark", 3, 2, 1, "F. Baltes", 230619, 3990994, PRICE),
                (6, "Put The Finger On You", 1, 1, 1, "Angus Young", 205662, 6713451, PRICE),
                (15, "Go Down", 4, 1, 1, "AC/DC", 331180, 10847611, PRICE),
                (23, "Walk On Water", 5, 1, 1, "Steven Tyler", 295680, 9719579, PRICE),
                (38, "All I Really Want", 6, 1, 1, "Alanis Morissette & Glenn Ballard", 284891, 9375567, PRICE),
            ),
        ),
        (
            m.Employee,
            rows(
                "id last_name first_name title reports_to birth_date hire_date city fax",
                (1, "Adams", "Andrew", "General Manager", None, date(1962, 2, 18), date(2002, 8, 14), "Edmonton", "1"),
                (2, "Edwards", "Nancy", "Sales Manager", 1, date(1958, 12, 8), date(2002, 5, 1), "Calgary", None),
                (3, "Peacock", "Jane", "Sales Support Agent", 2, date(1973, 8, 29), date(2002, 4, 1), "Calgary", None),
                (
                    5,
                    "Johnson",
                    "Steve",
                    "Sales Support Agent",
                    2,
                    date(1965, 3, 3),
                    date(2003, 10, 17),
                    "Calgary",
                    None,
                ),
                (6, "Mitchell", "Michael", "IT Manager", 1, date(1973, 7, 1), date(2003, 10, 17), "Calgary", None),
                (7, "King", "Robert", "IT Staff", 6, date(1970, 5, 29), date(2004, 1, 2), "Lethbridge", None),
            ),
        ),
        (
            m.Customer,
            rows(
                "id first_name last_name company city country email support_rep",
                (1, "Luís", "Gonçalves", "Embraer", "São José dos Campos", "Brazil", "luisg@embraer.com.br", 3),
                (2, "Leonie", "Köhler", None, "Stuttgart", "Germany", "leonekohler@surfeu.de", 5),
                (4, "Bjørn", "Hansen", None, "Oslo", "Norway", "bjorn.hansen@yahoo.no", None),
            ),
        ),
        (
            m.Invoice,
            rows(
                "id customer invoice_date billing_city billing_country total",
                (1, 2, day(1), "Stuttgart", "Germany", Decimal("1.98")),
                (2, 4, day(2), "Oslo", "Norway", Decimal("3.96")),
                (98, 1, day(11), "São José dos Campos", "Brazil", Decimal("3.98")),
            ),
        ),
        (
            m.InvoiceLine,
            rows(
                "id invoice track unit_price quantity",
                (1, 1, 2, PRICE, 1),
                (3, 2, 6, PRICE, 1),
                (4, 2, 15, PRICE, 2),
                (530, 98, 38, PRICE, 1),
            ),
        ),
        (m.Playlist, rows("id name", (1, "Music"), (5, "90\N{RIGHT SINGLE QUOTATION MARK}s Music"))),
    ]


class Chinook:
    """The suite; a class at the end joins it with a database."""

    def declare(self: Any) -> list[Any]:
        return chinook()

    def make_tables(self: Any) -> None:
        self.files = self.folder / "database_schema"
        schema.save_schema(self.database, self.files)
        schema.update_schema(self.database, self.files)
        for model, rows in rows_of(self):
            assert model.Insert(rows) == [row["id"] for row in rows], model

    async def test_every_row_comes_back(self: Any) -> None:
        """What was stored is there, of the same types; a number that the database gives is a new one."""
        for model, rows in rows_of(self):
            stored = await self.ask(model.Check, order_by="id")
            for row, want in zip(stored, rows, strict=True):
                self.assertEqual({name: getattr(row, name) for name in want}, want)
        new = await self.ask(self.Artist.Insert, name="Apocalyptica")
        self.assertTrue(new)
        self.assertNotIn(new, (1, 2, 3, 4))

    async def test_joins(self: Any) -> None:
        """Tracks by their artist, lines by the customer's employee, employees by their manager's manager."""
        Track, Line, Employee = self.Track, self.InvoiceLine, self.Employee
        rows = await self.ask(
            Track.Check, where[Track.album.artist.name == "AC/DC"], columns=["name", Track.album.title], order_by="name"
        )
        self.assertEqual([row.name[:7] for row in rows], ["For Tho", "Go Down", "Put The"])
        self.assertEqual({row.album_title for row in rows[1:]}, {"Let There Be Rock", rows[0].album_title})
        rows = await self.ask(
            Line.Check,
            where[Line.invoice.customer.support_rep.last_name == "Johnson"],
            columns=[Line.track.name, Line.invoice.customer.last_name],
        )
        self.assertEqual(rows, [("Balls to the Wall", "Köhler")])
        rows = await self.ask(
            Employee.Check,
            where[(Employee.reports_to.reports_to.last_name == "Adams") & (Employee.birth_date > date(1965, 12, 31))],
            columns=["last_name"],
            order_by=Employee.reports_to.last_name.desc(),
        )
        self.assertEqual(rows, [("King",), ("Peacock",)])
        without = where[Line.invoice.customer.support_rep.last_name.is_null()]
        self.assertEqual(await self.ask(Line.Count, without), 2)

    async def test_order_across_empty_references(self: Any) -> None:
        """The manager of all, who reports to nobody, comes first; then by the name of whom they report to."""
        Employee = self.Employee
        rows = await self.ask(Employee.Check, columns=["id"], order_by=[Employee.reports_to.last_name, Employee.id])
        self.assertEqual([row.id for row in rows], [1, 2, 6, 3, 5, 7])

    async def test_playlists(self: Any) -> None:
        """Tracks of two lists, and the lists of a track."""
        Playlist = self.Playlist
        self.assertEqual(await self.ask(Playlist.tracks(1).add, 1, 2, 3, 38), 4)
        self.assertEqual(await self.ask(Playlist.tracks(5).add, 23, 38), 2)
        shared = where[Playlist.tracks.has(38)]
        self.assertEqual(len(await self.ask(Playlist.Check, shared)), 2)
        long = where[self.Track.milliseconds > 300_000]
        self.assertEqual(await self.ask(Playlist.tracks(1).list, long, columns=["id"], order_by="id"), [(1,), (2,)])
        await self.fails(Conflict, self.Track.Delete, where[self.Track.id == 38])

    async def test_sums(self: Any) -> None:
        """What needs a group is a Core statement, and money stays exact."""
        line, invoice = self.database.table(self.InvoiceLine), self.database.table(self.Invoice)
        sold = sqlalchemy.func.sum(line.c.quantity).label("sold")
        statement = (
            sqlalchemy.select(invoice.c.billing_country, sold, sqlalchemy.func.max(invoice.c.total).label("most"))
            .join(invoice, line.c.invoice == invoice.c.id)
            .group_by(invoice.c.billing_country)
            .order_by(invoice.c.billing_country)
        )
        rows = await self.ask(self.database.run, statement)
        self.assertEqual(
            [(row.billing_country, int(row.sold)) for row in rows], [("Brazil", 1), ("Germany", 1), ("Norway", 3)]
        )
        self.assertEqual([row.most for row in rows], [Decimal("3.98"), Decimal("1.98"), Decimal("3.96")])

    async def test_migration(self: Any) -> None:
        """The next version renames, adds, widens, indexes and drops; no row is lost, and back again none either."""
        before = await self.ask(self.Customer.Check, order_by="id")
        self.database.bind(chinook(changed=True))
        for model in self.database.models:
            setattr(self, model.__name__, model)
        await threads.deferToThread(schema.save_schema, self.database, self.files)
        update = schema.update_schema
        error = await self.assertFailure(threads.deferToThread(update, self.database, self.files), Conflict)
        self.assertIn("employee.fax", error.text.lower())
        await threads.deferToThread(update, self.database, self.files, drop=["Employee.fax"])
        rows = await self.ask(self.Artist.Check, order_by="id", columns=["title"])
        self.assertEqual([row.title for row in rows], ["AC/DC", "Accept", "Aerosmith", "Alanis Morissette"])
        after = await self.ask(self.Customer.Check, order_by="id")
        self.assertEqual([row.points for row in after], [0, 0, 0])
        for old, new in zip(before, after, strict=True):
            for name in set(old._fields) - {"fax"}:
                self.assertEqual(getattr(new, name), getattr(old, name))
        self.assertTrue(await self.ask(self.Track.Insert, name="New", media_type=1, milliseconds=1, unit_price=10**9))
        self.assertEqual(await self.ask(self.Track.Count, where[self.Track.album.artist.title == "AC/DC"]), 3)
        await self.ask(self.Track.Delete, where[self.Track.name == "New"])
        self.database.bind(chinook())
        for model in self.database.models:
            setattr(self, model.__name__, model)
        options = {"number": 1, "drop": ["Customer.points"]}
        await threads.deferToThread(update, self.database, self.files, **options)
        self.assertEqual(await self.ask(self.Customer.Check, order_by="id"), before)
        self.assertEqual(await self.ask(self.Track.Count), 7)
        self.assertIs(await self.ask(self.Album.Insert, title="x", artist=99), False)


class OnSQLite(Chinook, SQLiteCase):
    """SQLite, on the reactor's thread."""


class OnSQLiteInAThread(Chinook, SQLiteThreadCase):
    """SQLite, in a thread."""


class OnPostgreSQL(Chinook, PostgreSQLCase):
    """PostgreSQL, on the reactor's thread."""


class OnMySQL(Chinook, MySQLCase):
    """MariaDB or MySQL, in a thread."""
