"""What a database tells of itself at the console: how much is open, and how much waits."""

from __future__ import annotations

import threading
from typing import Any

from every_database import MySQLCase, PostgreSQLCase, SQLiteCase
from twisted.internet.defer import gatherResults

from fluxon.database import models
from fluxon.database.servers.opening import CONNECTIONS


class Figures:
    """What holds everywhere."""

    def declare(self) -> list[Any]:
        class Note(models.Model):
            text = models.CharField(max_length=20)

        return [Note]

    async def test_at_rest(self: Any) -> None:
        """Numbers, and none of them says that anything waits."""
        await self.ask(self.Note.Insert, text="a")
        await self.ask(self.Note.Count)
        figures = self.database.figures()
        self.assertTrue(figures)
        for name, value in figures.items():
            self.assertIs(type(value), int, name)
            if "wait" in name:
                self.assertEqual(value, 0, name)

    async def test_what_waits(self: Any) -> None:
        """Writes behind one that hangs are counted, and are gone when it has ended."""
        begun, go_on = threading.Event(), threading.Event()

        def hang(connection: Any) -> None:
            begun.set()
            go_on.wait(4)

        count = 4 * CONNECTIONS
        writes = [self.database.write(hang) for _ in range(count)]
        begun.wait(4)
        self.assertGreater(sum(value for name, value in self.database.figures().items() if "wait" in name), 0)
        go_on.set()
        await gatherResults(writes)
        figures = self.database.figures()
        self.assertEqual(sum(value for name, value in figures.items() if "wait" in name and "so far" not in name), 0)

    async def test_not_open(self: Any) -> None:
        """A stopped database has nothing open, and asking opens nothing."""
        await self.database.stop()
        self.assertEqual(self.database.figures(), {})
        self.assertEqual(self.database.figures(), {})


class SQLiteTests(Figures, SQLiteCase):
    """One file."""


class PostgreSQLTests(Figures, PostgreSQLCase):
    """A server."""


class MySQLTests(Figures, MySQLCase):
    """Another."""
