"""Commands that a project adds to the console: how they are typed, run, shown and refused."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from at_console import Operator
from people import SessionsTestCase
from serving import Person

from fluxon.console.console import FAILED, WRONG
from fluxon.database.query import where
from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.errors import ConfigurationError, NotFound
from fluxon.routing import Setup


async def add(server: Any, name: str, age: int = 0, *, quiet: bool = False, team: str = "red") -> Any:
    """Make somebody a member.

    More, which help does not show.
    """
    if name == "nobody":
        raise NotFound("there is no nobody")
    return None if quiet else {"name": name, "age": age, "team": team, "server": type(server).__name__}


def everybody(server: AsyncServer, at_most: int | None = None, *, starting_with: str = "") -> Any:
    """Who there is"""
    found = where[Person.username.startswith(starting_with)]
    return Person.Check(found, fetch=at_most or 100, columns=[Person.id, Person.username])


def thread(server: Any) -> Any:
    return threading.current_thread().name


async def fails(server: Any) -> None:
    raise ValueError("a fault of the command")


OWN = {"members add": add, "members list": everybody, "thread": thread, "fail": fails}


class OwnCommandTests(SessionsTestCase):
    """A server with two people, and commands of its project's."""

    async def operator(self, **keywords: Any) -> Operator:
        operator = Operator(await self.people(console_commands=OWN, **keywords))
        self.addCleanup(operator.leave)
        return operator

    async def test_help(self) -> None:
        """They stand under the others, with the first line of what they say of themselves, and Tab offers them."""
        operator = await self.operator()
        last = [(each["command"], each["what_it_does"]) for each in (await operator.told("help"))[-4:]]
        self.assertEqual(last[:2], [("members add", "Make somebody a member"), ("members list", "Who there is")])
        self.assertEqual(last[2], ("thread", "thread"))
        written = "members add NAME [AGE] [--quiet] [--team TEXT]"
        self.assertEqual((await operator.type("help members")).split("\n")[0], written)
        self.assertEqual(operator.offered("mem"), ["members"])
        self.assertEqual(operator.offered("members list --"), ["--json", "--starting-with"])
        self.assertIn("members add", operator.offered("help m") + operator.offered("help members"))

    async def test_what_is_typed(self) -> None:
        """Words, numbers, options and flags are the function's arguments; what is left out has its default."""
        operator = await self.operator()
        told = {"name": "emma hill", "age": 0, "team": "red", "server": "AsyncServer"}
        self.assertEqual(await operator.told("members add 'emma hill'"), told)
        told = {**told, "name": "mike", "age": 31, "team": "blue"}
        self.assertEqual(await operator.told("members add mike 31 --team blue"), told)
        self.assertEqual(await operator.type("members add mike --quiet"), "")
        self.assertIn("AGE is a number", await operator.type("members add mike old", WRONG))
        self.assertIn("NAME is missing", await operator.type("members add", WRONG))

    async def test_what_is_shown(self) -> None:
        """Rows and dicts by their names; a program gets them as they are."""
        operator = await self.operator()
        self.assertEqual((await operator.type("members list")).split(), ["id", "username", "1", "ann", "2", "bob"])
        self.assertEqual(await operator.told("members list 1"), [{"id": 1, "username": "ann"}])
        self.assertEqual(await operator.told("members list --starting-with b"), [{"id": 2, "username": "bob"}])
        self.assertEqual(await operator.type("members list --starting-with x"), "none")
        self.assertIn("team", await operator.type("members add mike"))

    async def test_where_it_runs(self) -> None:
        """A plain one in a thread, where it may block."""
        operator = await self.operator()
        self.assertTrue((await operator.type("thread")).startswith("fluxon-console"))

    async def test_failures(self) -> None:
        """An error's text; of anything else a line, and the traceback in the log. Who gave it is there, too."""
        operator = await self.operator(logs_dir=Path("logs"))
        self.assertIn("there is no nobody", await operator.type("members add nobody", FAILED))
        self.assertIn("ValueError: a fault of the command", await operator.type("fail", FAILED))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        log = Path("logs/fluxon.log").read_text()
        self.assertIn("emma (SHA256:x): members add nobody: there is no nobody", log)

    async def test_names_that_are_taken(self) -> None:
        """A server whose project would hide a command of the console's does not start, and says which."""
        setup = self.setup_of(console_commands={"storage tidy": thread})
        server = AsyncServer(setup=setup, endpoint=self.new_place())
        server.startService()
        error = await self.fails(ConfigurationError, server.when_ready())
        self.assertIn("has a command 'storage' already", str(error))
        await server.stopService()

    async def test_the_cloud_alone(self) -> None:
        """Has none of them: they are given an ``AsyncServer``."""
        self.assertTrue(AsyncServer.runs_views)
        self.assertFalse(CloudStorageServer.runs_views)

    def test_mistakes(self) -> None:
        """Each is told when the setup is made, by the command's name."""

        def lacks_a_default(server: Any, *, team: str) -> None: ...

        def takes_any(server: Any, *names: str) -> None: ...

        def other_type(server: Any, day: float) -> None: ...

        def flag_that_is_there(server: Any, *, all: bool = True) -> None: ...

        def no_server(*, team: str = "red") -> None: ...

        for commands, told in (
            ([thread], "a dict of names and functions"),
            ({"Add": thread}, "small letters, not 'Add'"),
            ({"a b c": thread}, "one or two words"),
            ({"x": "thread"}, "the command 'x' must be a function, not str"),
            ({"x": lambda: None}, "the command 'x' takes the server first"),
            ({"x": no_server}, "the command 'x' takes the server first"),
            ({"x": lacks_a_default}, "team of the command 'x': an option has a default"),
            ({"x": takes_any}, "names of the command 'x'"),
            ({"x": other_type}, "day of the command 'x' is a str or an int"),
            ({"x": flag_that_is_there}, "all of the command 'x'"),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                Setup(mapping={}, secrets="secrets", console_commands=commands)  # type: ignore[arg-type]
            self.assertIn(told, str(caught.exception))
