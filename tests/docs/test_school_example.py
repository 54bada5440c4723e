"""The example of a school: its story on every database, its programs, its tests, and what its README changes."""

from __future__ import annotations

import re
from typing import Any

import database_servers
import pytest
from example import Example
from pages import Page
from twisted.trial.unittest import SynchronousTestCase

README = "docs/examples/school/README.md"


@pytest.mark.slow
@pytest.mark.timeout(300)
class SchoolTests(SynchronousTestCase):
    """On SQLite, as somebody has it who reads the README from its first line to its last."""

    def test_the_readme(self) -> None:
        """The story, twice; the school that it leaves, served; the tests; a third schema."""
        page = Page(self, README)
        (one,), _, alone, (tests,), schemas = page.commands()
        story, changes = page.shown()
        (substitute,) = page.fragments()
        example = Example(self, "school")
        said = example.run(one)
        example.check_output(said, story)
        self.assertFalse([line for line in said if re.search("Internal|Unavailable|not how it is typed", line)], said)
        again = example.run(one)
        self.assertIn("alan is not at this school any more.", again)
        self.assertNotIn("alan> resign", again)
        self.assertIn("  AlreadyExists: you take CS1 already", again)
        self.programs(example, alone)
        example.test(tests)
        self.third_year(example, substitute.text, schemas, changes)

    def programs(self, example: Example, alone: list[str]) -> None:
        step, serve, client = alone
        self.assertEqual(example.top / step.removeprefix("cd "), example.folder)
        server = example.start(f"{serve} --port 0")
        port = server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")[1]
        emma = example.start(f"{client} --port {port}")
        emma.say("Emma-123")
        emma.expect("You are a student here")
        for line, answer in (
            ("timetable", "Tuesday .* Machines .* A1$"),
            ("leave CS2", "you have left CS2"),
            ("mark emma CS1 1", "PermissionDenied: this is for a teacher"),
            ("mark emma CS1", "that is not how it is typed"),
            ("help enrol", "enrol CODE: take a course"),
        ):
            emma.say(line)
            emma.expect(answer)
        self.assertEqual(emma.end_of_input(), 0, emma.transcript)
        guessing = example.start(f"{client} --port {port}")
        guessing.say("guess")
        guessing.expect("wrong username or password")
        self.assertEqual(guessing.end_of_input(), 1)
        self.assertEqual(server.stop(), 0, server.transcript)

    def third_year(self, example: Example, fragment: str, commands: list[str], changes: str) -> None:
        models = example.folder / "models.py"
        place = "    room = models.CharField(max_length=10)\n"
        text = models.read_text()
        self.assertEqual(text.count(place), 1)
        models.write_text(text.replace(place, place + fragment.partition("\n")[2]))
        said = [line for command in commands for line in example.run(command, example.folder)]
        example.check_output(said, changes)
        self.assertIn("schema_00003.sql", said[-1])


class OnAServer:
    """The story on a database server, by the URL in its environment."""

    def place(self: Any) -> str:
        """The URL of a new, empty database."""
        raise NotImplementedError

    def test_the_story(self: Any) -> None:
        """As on SQLite, and the rows are on that server."""
        page = Page(self, README)
        _, (line,), *_ = page.commands()
        shown, _ = page.shown()
        page.in_order()  # what is left is for the test above
        variable, _, command = line.partition(" ")
        example, url = Example(self, "school"), self.place()
        example.environment[variable.partition("=")[0]] = url
        example.check_output(example.run(command), shown)
        self.assertFalse((example.folder / "data" / "school.sqlite3").exists())
        rows = database_servers.fetch(url, "SELECT code, title FROM course ORDER BY code")
        self.assertEqual([tuple(row) for row in rows], [("CS1", "Engines"), ("CS2", "Machines")])


class OnPostgreSQL(OnAServer, SynchronousTestCase):
    """PostgreSQL."""

    def place(self) -> str:
        return database_servers.postgresql()


class OnMySQL(OnAServer, SynchronousTestCase):
    """MariaDB or MySQL."""

    def place(self) -> str:
        return database_servers.mysql()
